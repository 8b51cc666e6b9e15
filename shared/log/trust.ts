/** Whom a reader of a log believes, as a file or as options: keys of the log and of its witnesses, and how many must agree. */

import { z } from "zod";
import { CodedError, defineErrors } from "../base/errors.ts";
import { cosignatureVerifier } from "./cosignature.ts";
import type { CheckpointPolicy } from "./signed_checkpoint.ts";
import { ed25519Verifier, parseVerifierKey, VKEY_LENGTH_MAX } from "./vkey.ts";

const KEYS = z.array(z.string().max(VKEY_LENGTH_MAX)).max(32);

/** Trust in one log, as JSON. */
export const LogTrust = z.strictObject({
  /** Origin line; without it the name of the first key. */
  origin: z.string().min(1).optional(),
  /** Verifier keys of the log (type 1). */
  log: KEYS.min(1),
  /** Verifier keys of witnesses (type 4). */
  witnesses: KEYS.default([]),
  /** How many of them must have cosigned. */
  quorum: z.int().min(0).default(0),
});
/** See the constant. */
export type LogTrust = z.infer<typeof LogTrust>;

/** Reads a trust file. @throws {CodedError} `LOG_TRUST`. */
export function parseTrust(text: string): LogTrust {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("LOG_TRUST", "Cannot read trust file: it is not JSON");
  }
  const parsed = LogTrust.safeParse(value);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "file"}: ${message}`);
  throw new CodedError("LOG_TRUST", `Cannot use trust file: ${places.join("; ")}`);
}

/**
 * The policy of a trust.
 * @throws {CodedError} `VKEY_*`, `COSIGNATURE_KEY`; `LOG_TRUST` when one witness is there twice: it would count twice.
 */
export function trustPolicy({ origin, log, witnesses, quorum }: LogTrust): CheckpointPolicy {
  const logKeys = log.map(parseVerifierKey);
  const witnessKeys = witnesses.map(parseVerifierKey);
  const distinct = new Set(witnessKeys.map(({ publicKey }) => publicKey.toHex()));
  if (distinct.size !== witnessKeys.length) {
    throw new CodedError("LOG_TRUST", "Cannot use trust: two witnesses have the same key");
  }
  return {
    origin: origin ?? logKeys[0]!.name,
    log: logKeys.map(ed25519Verifier),
    witnesses: witnessKeys.map(cosignatureVerifier),
    quorum,
  };
}

defineErrors({
  LOG_TRUST: {
    fault: "configuration",
    retry: false,
    next: "docs/log.md shows a trust file: origin, log, witnesses, quorum.",
  },
});
