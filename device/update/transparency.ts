/**
 * A release that a wallet takes is in the public log of releases: what is given to one wallet is there for everybody to see. The
 * proof's checkpoint must be at least as new as the newest that this wallet has seen, and its tree must begin with that one.
 */

import { fromUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { TileTree } from "shared/log/proof_from_tiles.ts";
import { openCheckpoint } from "shared/log/signed_checkpoint.ts";
import type { LogSource } from "shared/log/source.ts";
import { type LogTrust, trustPolicy } from "shared/log/trust.ts";
import { tilePath } from "shared/log/tile.ts";
import { parseTlogProof } from "shared/log/tlog_proof.ts";
import { verifyTlogProof } from "shared/log/verify_proof.ts";
import { type PublishedPackage, releaseEntry } from "shared/protocol/release/entry.ts";
import { lookAtFile, replaceFile } from "shared/transport/durable_file.ts";

/** Longest tile, in bytes: 256 hashes of 32. */
const TILE_BYTES_MAX = 8192;
/** Longest checkpoint that is kept, in bytes. */
const CHECKPOINT_BYTES_MAX = 1_000_000;

/** What is checked. */
export interface TransparencyCheck {
  readonly release: PublishedPackage;
  /** The proof file beside the repository (`proofPath`). */
  readonly proof: Uint8Array;
  /** Of the verified metadata. */
  readonly trust: LogTrust;
  /** The newest checkpoint note that was seen; undefined at the first time. */
  readonly seen: Uint8Array | undefined;
  /** The log's tiles, `log/` beside the repository: read when the log has grown. */
  readonly log: LogSource;
}

/** What was found. */
export interface TransparencyResult {
  /** Index of the release in the log. */
  readonly index: number;
  /** Entries of the log. */
  readonly size: number;
  /** The checkpoint note to keep as the newest that was seen. */
  readonly checkpoint: Uint8Array;
}

/**
 * Checks a release's proof.
 * @throws {CodedError} `TRANSPARENCY_OLD` for a checkpoint older than the newest that was seen, `TRANSPARENCY_FORK` when it is not
 *   the same log any more; what `verifyTlogProof` throws; `LOG_SOURCE_*`, `TILE_*`.
 */
export async function checkTransparency(check: TransparencyCheck): Promise<TransparencyResult> {
  const policy = trustPolicy(check.trust);
  const { index, checkpoint } = verifyTlogProof(check.proof, policy, releaseEntry(check.release));
  const result = { index, size: checkpoint.size, checkpoint: parseTlogProof(check.proof).checkpoint };
  if (check.seen === undefined) return result;
  // What was seen counts by the log's own signature, whoever cosigned it.
  const seen = openCheckpoint(check.seen, { ...policy, quorum: 0 });
  if (checkpoint.size < seen.size) {
    throw new CodedError(
      "TRANSPARENCY_OLD",
      `Cannot use release: its proof is of a log of ${checkpoint.size} entries, ${seen.size} were seen`,
    );
  }
  const tree = new TileTree(checkpoint.size, checkpoint.root, async (tile) => {
    const bytes = await check.log.read(tilePath(tile), TILE_BYTES_MAX);
    if (bytes !== undefined) return bytes;
    throw new CodedError(
      "TRANSPARENCY_FORK",
      `Cannot compare logs: ${check.log.name} has no ${tilePath(tile)}`,
    );
  });
  const root = checkpoint.size === seen.size ? checkpoint.root : await tree.rootAt(seen.size);
  if (!root.every((byte, place) => byte === seen.root[place])) {
    throw new CodedError(
      "TRANSPARENCY_FORK",
      `Cannot use release: the log does not begin with the ${seen.size} entries that were seen`,
      { seen: fromUtf8(check.seen), now: fromUtf8(result.checkpoint) },
    );
  }
  return result;
}

/** The newest checkpoint that was seen; undefined when there is none. @param file private file of the wallet. */
export function seenCheckpoint(file: string): Uint8Array | undefined {
  const there = lookAtFile(file);
  return there === undefined || there.bytes > CHECKPOINT_BYTES_MAX ? undefined : Deno.readFileSync(file);
}

/** Keeps the newest checkpoint that was seen, whole or not at all. */
export function keepCheckpoint(file: string, checkpoint: Uint8Array): void {
  replaceFile(file, new Uint8Array(checkpoint));
}

defineErrors({
  TRANSPARENCY_OLD: {
    fault: "peer",
    retry: true,
    next: "The repository shows an older log than before: try again later or from another place.",
  },
  TRANSPARENCY_FORK: {
    fault: "peer",
    retry: false,
    next: "Two logs have been shown: install nothing, keep both checkpoints, and report it.",
  },
});
