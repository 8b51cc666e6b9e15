/**
 * The state of a session between two requests, as one plaintext of fixed length that only the vault reads: node A or B may
 * serve the next request, and neither knows what is inside.
 */

import { z } from "zod";
import { fromUtf8, readUint, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";
import { RecoverFlow, RecoverIdentity } from "shared/protocol/wire/recover.ts";
import "../provider_errors.ts";

/** Length of the plaintext, in bytes. */
export const SESSION_PLAIN_LENGTH = 12_000;

const STATES = [
  "backup",
  "deposited",
  "stored",
  "restore",
  "locked",
  "release",
  "counted",
  "released",
  "delete",
  "challenged",
  "deleted",
  "refused",
  "abandoned",
] as const;

const Given = z.strictObject({
  /** SHA-256 of the request. */
  request: hexBytes(32),
  /** What it was answered: the same bytes get the same answer. */
  outcome: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("answer"), answer: z.unknown() }),
    z.strictObject({ kind: z.literal("refuse"), code: z.string() }),
  ]),
});

const SessionContent = z.strictObject({
  flow: RecoverFlow,
  state: z.enum(STATES),
  backupId: hexBytes(16),
  identity: RecoverIdentity.nullable(),
  certificate: hexRange(3, 511),
  /** k_MAC || k_ENC of the channel to the device; gone with the session's end. */
  channelKey: hexBytes(32).nullable(),
  first: z.boolean(),
  /** Of the identity verification; null where none is asked. */
  verificationNonce: hexBytes(32).nullable(),
  /** Seconds since 1970: no step but commit and abandon is taken after it. */
  untilSeconds: z.int(),
  /** Of a deletion. */
  deleteNonce: hexBytes(16).nullable(),
  /** SHA-256 of the release request that was counted. */
  counted: hexBytes(32).nullable(),
  given: z.record(z.string(), Given),
});
/** A session. */
export type SessionRecord = z.infer<typeof SessionContent>;
/** What a request was answered. */
export type GivenOutcome = z.infer<typeof Given>["outcome"];

/** Writes a session. The caller wipes the result. */
export function encodeSession(record: SessionRecord): Uint8Array {
  const text = toUtf8(JSON.stringify(record));
  if (text.length + 2 > SESSION_PLAIN_LENGTH) {
    throw new CodedError("PROVIDER_MALFORMED", `Cannot keep session: ${text.length} bytes`);
  }
  const plain = new Uint8Array(SESSION_PLAIN_LENGTH);
  plain.set(writeUint(text.length, 2));
  plain.set(text, 2);
  text.fill(0);
  return plain;
}

/** Reads a session. @throws {CodedError} `PROVIDER_STATE`. */
export function decodeSession(plain: Uint8Array): SessionRecord {
  try {
    return SessionContent.parse(JSON.parse(fromUtf8(plain.subarray(2, 2 + readUint(plain.subarray(0, 2))))));
  } catch {
    // What the parser says could repeat what is inside.
    throw new CodedError("PROVIDER_STATE", "Cannot read session: it is none of this version");
  }
}
