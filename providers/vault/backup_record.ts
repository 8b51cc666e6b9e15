/**
 * What a provider keeps of a backup, as one plaintext of fixed length: every row is as long as every other. Only the vault
 * sees it; outside it is sealed (record_sealing.ts).
 */

import { concat, readUint, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { layout } from "shared/base/layout.ts";
import { Secret } from "shared/base/secret.ts";
import { LENGTH, WORDS } from "shared/protocol/recover/constants.ts";
import "../provider_errors.ts";

/** Length of the plaintext, in bytes: with IV and tag a blob of 1,536, which PostgreSQL keeps in the row itself. */
export const BACKUP_PLAIN_LENGTH = 1508;
/** Results of identity verification that a row remembers. */
export const USED_RESULTS = 8;
/** Bytes of SHA-256 by which a result is remembered. */
export const USED_RESULT_LENGTH = 16;

const VERSION = 1;
const CERTIFICATE_MAX = 395;
const IDENTITY_MAX = 221;
const LAYOUT = layout(BACKUP_PLAIN_LENGTH, {
  version: 1,
  state: 1,
  generation: 16,
  sequence: 6,
  attempts: 2,
  releases: 2,
  index: 1,
  words: 1,
  share: LENGTH.SHARE,
  deletionKey: 65,
  commitments: LENGTH.COMMITMENTS,
  certificateLength: 2,
  certificate: CERTIFICATE_MAX,
  identityLength: 2,
  identity: IDENTITY_MAX,
  owner: 16,
  lockDevice: 32,
  lockUntil: 6,
  used: USED_RESULTS * USED_RESULT_LENGTH,
  reserved: 323,
});
const STATES = ["pending", "stored"] as const;

/** A backup at one provider. */
export interface BackupRecord {
  /** `pending`: deposited, and not in force until all providers have theirs. */
  readonly state: (typeof STATES)[number];
  /** 16 bytes, drawn at the deposit: a row that comes back after its deletion is known by it. */
  readonly generation: Uint8Array;
  /** Grows by one with every change; each has one log entry. */
  readonly sequence: number;
  /** Attempts to have the share released, since the last success. */
  readonly attempts: number;
  readonly releases: number;
  /** Of the share: 1, 2 or 3. */
  readonly index: number;
  /** 12, 18 or 24. */
  readonly words: number;
  /** F(i) || G(i), 96 bytes. */
  readonly share: Secret;
  /** 65 bytes. */
  readonly deletionKey: Uint8Array;
  /** 192 bytes. */
  readonly commitments: Uint8Array;
  /** Certificate of the device that made the backup. */
  readonly certificate: Uint8Array;
  /** Identity data of section 4. */
  readonly identity: Uint8Array;
  /** 16 bytes: the session that deposited it. */
  readonly owner: Uint8Array;
  /** SHA-256 of the certificate of the device that confirmed a restore; undefined when there is none. */
  readonly lock: { readonly device: Uint8Array; readonly untilSeconds: number } | undefined;
  /** The newest results of identity verification that were taken, 16 bytes each. */
  readonly used: readonly Uint8Array[];
}

/** Writes a record. The caller wipes the result. */
export function encodeBackup(record: BackupRecord): Uint8Array {
  const used = record.used.slice(-USED_RESULTS);
  return LAYOUT.encode({
    version: Uint8Array.of(VERSION),
    state: Uint8Array.of(STATES.indexOf(record.state)),
    generation: record.generation,
    sequence: writeUint(record.sequence, 6),
    attempts: writeUint(record.attempts, 2),
    releases: writeUint(record.releases, 2),
    index: Uint8Array.of(record.index),
    words: Uint8Array.of(record.words),
    share: record.share.reveal(),
    deletionKey: record.deletionKey,
    commitments: record.commitments,
    certificateLength: writeUint(record.certificate.length, 2),
    certificate: padded(record.certificate, CERTIFICATE_MAX),
    identityLength: writeUint(record.identity.length, 2),
    identity: padded(record.identity, IDENTITY_MAX),
    owner: record.owner,
    lockDevice: record.lock?.device ?? new Uint8Array(32),
    lockUntil: writeUint(record.lock?.untilSeconds ?? 0, 6),
    used: padded(concat(...used), USED_RESULTS * USED_RESULT_LENGTH),
    reserved: new Uint8Array(323),
  });
}

/** Reads a record. @throws {CodedError} `PROVIDER_STATE`, `LAYOUT_LENGTH`. */
export function decodeBackup(plain: Uint8Array): BackupRecord {
  const fields = LAYOUT.decode(plain);
  const state = STATES[fields.state[0]!];
  const words = fields.words[0]!;
  if (fields.version[0] !== VERSION || state === undefined || !WORDS.has(words)) {
    throw new CodedError("PROVIDER_STATE", "Cannot read record of backup: no such version or state");
  }
  const cut = (bytes: Uint8Array, length: Uint8Array) => bytes.slice(0, readUint(length));
  const untilSeconds = readUint(fields.lockUntil);
  const used = Array.from(
    { length: USED_RESULTS },
    (_, i) => fields.used.slice(i * USED_RESULT_LENGTH, (i + 1) * USED_RESULT_LENGTH),
  );
  return {
    state,
    generation: fields.generation,
    sequence: readUint(fields.sequence),
    attempts: readUint(fields.attempts),
    releases: readUint(fields.releases),
    index: fields.index[0]!,
    words,
    share: new Secret(fields.share),
    deletionKey: fields.deletionKey,
    commitments: fields.commitments,
    certificate: cut(fields.certificate, fields.certificateLength),
    identity: cut(fields.identity, fields.identityLength),
    owner: fields.owner,
    lock: untilSeconds === 0 ? undefined : { device: fields.lockDevice, untilSeconds },
    used: used.filter((result) => result.some((byte) => byte !== 0)),
  };
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length > length) {
    throw new CodedError(
      "PROVIDER_MALFORMED",
      `Cannot keep field: ${bytes.length} bytes, not ${length} at most`,
    );
  }
  const whole = new Uint8Array(length);
  whole.set(bytes);
  return whole;
}
