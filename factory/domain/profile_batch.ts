/** The file that `rk batch create` writes and `rk station run` reads: a batch with its whole profile. */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { BatchName, hexBytes } from "shared/protocol/wire/attestation.ts";
import { checkProfile, type Profile } from "./profile.ts";
import { profileHash } from "./profile_hash.ts";
import "./profile_errors.ts";

const BatchFileSchema = z.strictObject({
  batch: BatchName,
  profile: z.record(z.string(), z.unknown()),
  profileSha256: hexBytes(32),
  quantity: z.int().min(1),
  firstSerial: hexBytes(4),
  lastSerial: hexBytes(4),
  issuerPublicKey: hexBytes(65),
});

/** A batch as a station knows it. */
export interface BatchFile {
  readonly batch: string;
  readonly profile: Profile;
  readonly profileSha256: string;
  readonly quantity: number;
  /** 4 bytes of hex each. */
  readonly firstSerial: string;
  readonly lastSerial: string;
  /** Uncompressed secp256k1 point, 65 bytes of hex. */
  readonly issuerPublicKey: string;
}

/**
 * Reads a batch file.
 * @throws {CodedError} `BATCH_FILE_UNREADABLE`, `BATCH_FILE_CHANGED` (hash), and those of `checkProfile`.
 */
export function parseBatchFile(text: string): BatchFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("BATCH_FILE_UNREADABLE", "Cannot read batch file: it is not JSON");
  }
  const parsed = BatchFileSchema.safeParse(value);
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "file");
    throw new CodedError(
      "BATCH_FILE_UNREADABLE",
      `Cannot read batch file: wrong or missing ${fields.join(", ")}`,
    );
  }
  const { profile: raw, ...rest } = parsed.data;
  const profile = checkProfile(raw);
  if (profileHash(profile) !== rest.profileSha256) {
    throw new CodedError(
      "BATCH_FILE_CHANGED",
      "Cannot use batch file: profileSha256 is not the hash of profile",
    );
  }
  return { ...rest, profile };
}

/** Writes a batch file. It holds the profile's keys: mode 0600. */
export function encodeBatchFile(batch: BatchFile): string {
  return JSON.stringify(batch, null, 2) + "\n";
}
