/**
 * Seals records under the storage key in the HSM, bound to their place: a blob at another identifier, of another provider,
 * of another key version or of another state of the session does not open.
 */

import { concat, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { type BackupRecord, decodeBackup, encodeBackup } from "./backup_record.ts";
import { decodeSession, encodeSession, type SessionRecord } from "./session_record.ts";
import "../provider_errors.ts";

/** Label of a storage key by its version. */
export type StorageLabel = (version: number) => string;

/** What the sealing is bound to beside the place. */
export interface RecordSealing {
  readonly hsm: Hsm;
  readonly providerName: string;
  readonly storageLabel: StorageLabel;
  /** Version that new blobs are sealed under. */
  readonly currentVersion: number;
}

/** A blob and the version of its key. */
export interface SealedRecord {
  readonly keyVersion: number;
  readonly blob: Uint8Array;
}

function place(
  kind: string,
  sealing: RecordSealing,
  id: Uint8Array,
  keyVersion: number,
  state = 0,
): Uint8Array {
  const name = toUtf8(sealing.providerName);
  const lengths = Uint8Array.of(kind.length, id.length, name.length);
  return concat(lengths, toUtf8(kind), id, name, writeUint(keyVersion, 4), writeUint(state, 6));
}

async function seal(sealing: RecordSealing, plain: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
  try {
    return await sealing.hsm.seal(sealing.storageLabel(sealing.currentVersion), plain, bound);
  } finally {
    plain.fill(0);
  }
}

async function open<T>(
  sealing: RecordSealing,
  { keyVersion, blob }: SealedRecord,
  bound: Uint8Array,
  decode: (plain: Uint8Array) => T,
): Promise<T> {
  let plain: Uint8Array | undefined;
  try {
    plain = await sealing.hsm.open(sealing.storageLabel(keyVersion), blob, bound);
    return decode(plain);
  } catch (error) {
    const damaged = ["HSM_SEALED", "HSM_KEY_MISSING", "LAYOUT_LENGTH"].includes(codeOf(error));
    if (!damaged) throw error;
    throw new CodedError("PROVIDER_STATE", "Cannot open record: it was not sealed for this place", {}, error);
  } finally {
    plain?.fill(0);
  }
}

/** Seals a backup for its identifier (32). */
export async function sealBackup(
  sealing: RecordSealing,
  identifier: Uint8Array,
  record: BackupRecord,
): Promise<SealedRecord> {
  const keyVersion = sealing.currentVersion;
  const bound = place("backup", sealing, identifier, keyVersion);
  return { keyVersion, blob: await seal(sealing, encodeBackup(record), bound) };
}

/** Opens a backup. @throws {CodedError} `PROVIDER_STATE`. */
export function openBackup(
  sealing: RecordSealing,
  identifier: Uint8Array,
  sealed: SealedRecord,
): Promise<BackupRecord> {
  return open(sealing, sealed, place("backup", sealing, identifier, sealed.keyVersion), decodeBackup);
}

/** Seals a session's state `version`, 1 at first. */
export async function sealSession(
  sealing: RecordSealing,
  session: Uint8Array,
  version: number,
  record: SessionRecord,
): Promise<SealedRecord> {
  const keyVersion = sealing.currentVersion;
  const bound = place("session", sealing, session, keyVersion, version);
  return { keyVersion, blob: await seal(sealing, encodeSession(record), bound) };
}

/** Opens a session's state. @throws {CodedError} `PROVIDER_STATE`. */
export function openSessionRecord(
  sealing: RecordSealing,
  session: Uint8Array,
  version: number,
  sealed: SealedRecord,
): Promise<SessionRecord> {
  return open(sealing, sealed, place("session", sealing, session, sealed.keyVersion, version), decodeSession);
}
