/** Shape of the recorded exchanges with the genuine applet (card/*.json), and what is derived from one. For tests. */

import { fromHex } from "../../../base/bytes.ts";
import { Secret } from "../../../base/secret.ts";
import type { StaticKeys } from "../../scp03/keys.ts";
import type { CapsuleKeys } from "../capsule.ts";

/** Keys and challenges of one SCP03 session. */
export interface RecordedScp03 {
  readonly level: string;
  readonly aid: string;
  readonly static_enc: string;
  readonly static_mac: string;
  readonly static_dek: string;
  readonly key_diversification: string;
  readonly key_version: string;
  readonly i: string;
  readonly host_challenge: string;
  readonly card_challenge: string;
  readonly card_cryptogram: string;
  readonly host_cryptogram: string;
  readonly sequence_counter: string;
  readonly s_enc: string;
  readonly s_mac: string;
  readonly s_rmac: string;
}

/** Keys and challenges of one session of the second channel. */
export interface RecordedCapsule {
  readonly host_ephemeral_private: string;
  readonly host_ephemeral_public: string;
  readonly card_ephemeral_public: string;
  readonly host_challenge: string;
  readonly card_challenge: string;
  readonly shared_point: string;
  readonly enc_key: string;
  readonly mac_key_used: string;
}

/** One row. */
export interface RecordedExchange {
  readonly step: string;
  readonly note: string;
  readonly plain_command: string;
  readonly sent: string;
  readonly received: string;
  readonly plain_response: string | null;
  readonly sw: string;
  readonly scp03_session?: number;
  readonly capsule_session?: number;
  readonly setup?: boolean;
}

/** One file. */
export interface Recording {
  readonly name: string;
  readonly secrets: {
    readonly scp03: readonly RecordedScp03[];
    readonly capsule: readonly RecordedCapsule[];
    readonly issuer_private: string;
    readonly issuer_public: string;
    readonly host_static_private: string;
    readonly host_static_public: string;
    readonly host_serial: string;
    readonly card_serial: string;
    readonly card_certificate: string;
    readonly card_public: string;
    readonly seed_verification_public?: string;
    readonly seed: string;
    readonly pin: string;
    readonly pin_after_change: string;
    readonly wrong_pin: string;
  };
  readonly exchanges: readonly RecordedExchange[];
}

/** Static keys of a session, new objects at every call. */
export function recordedStaticKeys(session: RecordedScp03): StaticKeys {
  return {
    enc: new Secret(fromHex(session.static_enc)),
    mac: new Secret(fromHex(session.static_mac)),
    dek: new Secret(fromHex(session.static_dek)),
  };
}

/** Keys of the second channel as recorded. */
export function recordedCapsuleKeys(capsule: RecordedCapsule): CapsuleKeys {
  return { enc: new Secret(fromHex(capsule.enc_key)), mac: new Secret(fromHex(capsule.mac_key_used)) };
}
