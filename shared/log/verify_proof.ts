/** Verifies a proof file (C2SP tlog-proof) with keys alone: no log, no network. */

import { CodedError, defineErrors } from "../base/errors.ts";
import { leafHash, verifyInclusion } from "./merkle.ts";
import { type CheckpointPolicy, openCheckpoint, type TrustedCheckpoint } from "./signed_checkpoint.ts";
import { parseTlogProof } from "./tlog_proof.ts";

/** What a proof shows. */
export interface ProvedEntry {
  readonly index: number;
  /** The entry, byte for byte. */
  readonly entry: Uint8Array;
  readonly checkpoint: TrustedCheckpoint;
}

/**
 * Verifies a proof.
 * @param entry the entry that must be in the log; without it the one that the proof itself carries.
 * @throws {CodedError} `TLOG_PROOF_MALFORMED`, `LOG_PROOF_ENTRY` when neither gives an entry or they differ, `LOG_PROOF_INVALID`
 * when the entry is not in the tree at that index; what openCheckpoint throws.
 */
export function verifyTlogProof(
  bytes: Uint8Array,
  policy: CheckpointPolicy,
  entry?: Uint8Array,
): ProvedEntry {
  const proof = parseTlogProof(bytes);
  const proved = entry ?? proof.extra;
  if (proved === undefined) {
    throw new CodedError(
      "LOG_PROOF_ENTRY",
      "Cannot verify proof: it does not carry the entry that it is about",
    );
  }
  const checkpoint = openCheckpoint(proof.checkpoint, policy);
  const { size, root } = checkpoint;
  // The extra data is whatever somebody wrote there: this hash is what makes it the log's entry.
  if (!verifyInclusion(proof.hashes, proof.index, size, leafHash(proved), root)) {
    throw new CodedError(
      "LOG_PROOF_INVALID",
      `Cannot trust proof: the entry is not number ${proof.index} of the log`,
    );
  }
  return { index: proof.index, entry: proved, checkpoint };
}

defineErrors({
  LOG_PROOF_ENTRY: {
    fault: "usage",
    retry: false,
    next: "Give the entry's bytes in a file: `--entry FILE`.",
  },
  LOG_PROOF_INVALID: {
    fault: "peer",
    retry: false,
    next: "Entry or proof were changed, or belong to different logs: keep both, and ask for the proof again.",
  },
});
