/** The SCP03 sessions of scp_vectors.json, and sessions of either end in their state. For tests. */

import { fromHex } from "../../../base/bytes.ts";
import { Secret } from "../../../base/secret.ts";
import { type CommandApdu, decodeCommand } from "../../apdu/command.ts";
import { Scp03CardSession } from "../card_session.ts";
import type { Scp03Mode, SecurityLevel } from "../constants.ts";
import { finishHandshake, parseInitializeUpdate, type Scp03HostSession } from "../host_session.ts";
import type { StaticKeys } from "../keys.ts";

/** One command of a session; the answer is not part of every vector. */
export interface VectorExchange {
  readonly name: string;
  readonly plain: string;
  readonly wrapped: string;
  readonly rsp_wrapped_data?: string;
  readonly rsp_plain_data?: string;
  readonly rsp_sw?: string;
}

/** One session. */
export interface SessionVector {
  readonly id: string;
  readonly mode: Scp03Mode;
  readonly keys: { readonly kvn: number; readonly enc: string; readonly mac: string; readonly dek: string };
  readonly security_level: string;
  readonly host_challenge: string;
  readonly initialize_update: { readonly capdu: string; readonly rapdu_data: string };
  readonly external_authenticate: { readonly capdu: string };
  readonly exchanges?: readonly VectorExchange[];
  readonly i_param: string;
  readonly verified: { readonly counter_increments_on_empty_data: boolean | "either" };
}

/** Keys of a session, new objects at every call: a session wipes its own. */
export function vectorKeys(vector: SessionVector): StaticKeys {
  const { enc, mac, dek } = vector.keys;
  return { enc: new Secret(fromHex(enc)), mac: new Secret(fromHex(mac)), dek: new Secret(fromHex(dek)) };
}

/** Security level of a session. */
export function vectorLevel(vector: SessionVector): SecurityLevel {
  return parseInt(vector.security_level, 16) as SecurityLevel;
}

/** The host's end after the handshake. */
export function hostSession(
  vector: SessionVector,
): { session: Scp03HostSession; externalAuthenticate: CommandApdu } {
  return finishHandshake({
    parsed: parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data), vector.mode),
    hostChallenge: fromHex(vector.host_challenge),
    keys: vectorKeys(vector),
    level: vectorLevel(vector),
  });
}

/** The card's end before EXTERNAL AUTHENTICATE. */
export function unauthenticatedCardSession(vector: SessionVector): Scp03CardSession {
  return new Scp03CardSession({
    keys: vectorKeys(vector),
    mode: vector.mode,
    hostChallenge: fromHex(vector.host_challenge),
    cardChallenge: parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data)).cardChallenge,
  });
}

/** The card's end after EXTERNAL AUTHENTICATE. */
export function cardSession(vector: SessionVector): Scp03CardSession {
  const session = unauthenticatedCardSession(vector);
  if (!session.verifyExternalAuthenticate(decodeCommand(fromHex(vector.external_authenticate.capdu)))) {
    throw new Error(`${vector.id}: EXTERNAL AUTHENTICATE refused`);
  }
  return session;
}

/** Copies of `bytes`, each with one byte changed. */
export function* mutations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) {
    for (const change of [0x01, 0x80]) {
      const changed = bytes.slice();
      changed[i]! ^= change;
      yield changed;
    }
  }
}
