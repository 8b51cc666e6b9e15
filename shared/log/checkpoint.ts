/** Checkpoints (C2SP tlog-checkpoint): the text of a note that says how large a log is, and with which root. */

import { fromStrictBase64 } from "../base/base64.ts";
import { equal } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { parseDecimal, SIZE_MAX } from "./text.ts";
import { emptyRoot, HASH_LENGTH } from "./merkle.ts";

/** Most extension lines that are read. */
export const CHECKPOINT_EXTENSIONS_MAX = 16;

/** What a checkpoint says. */
export interface Checkpoint {
  /** Which log: unique, not empty, without newline. */
  readonly origin: string;
  /** Number of leaves. */
  readonly size: number;
  /** Root of the tree of that size (32). */
  readonly root: Uint8Array;
  /** Extension lines; logs of ours write none. */
  readonly extensions: readonly string[];
}

/**
 * Reads the text of a checkpoint note, with its final newline.
 * @throws {CodedError} `CHECKPOINT_MALFORMED`; `CHECKPOINT_EMPTY_ROOT` when size 0 has another root than the empty tree's.
 */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith("\n")) throw malformed("no final newline");
  const [origin, sizeText, rootText, ...extensions] = text.slice(0, -1).split("\n");
  if (origin === undefined || sizeText === undefined || rootText === undefined) {
    throw malformed("fewer than three lines");
  }
  if (origin === "") throw malformed("no origin");
  if (extensions.length > CHECKPOINT_EXTENSIONS_MAX) throw malformed("too many extension lines");
  if (extensions.includes("")) throw malformed("an empty extension line");
  const size = parseDecimal(sizeText);
  if (size === undefined) throw malformed("a size that is no decimal number up to 2^53 - 1");
  const root = fromStrictBase64(rootText);
  if (root?.length !== HASH_LENGTH) throw malformed("a root that is not the Base64 text of 32 bytes");
  if (size === 0 && !equal(root, emptyRoot())) {
    throw new CodedError(
      "CHECKPOINT_EMPTY_ROOT",
      "Cannot read checkpoint: size 0 with the root of another tree",
    );
  }
  return { origin, size, root, extensions };
}

/** Writes the text of a checkpoint note. @throws {CodedError} `CHECKPOINT_MALFORMED` for what could not be read again. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  if (origin === "" || [origin, ...extensions].some((line) => line === "" || line.includes("\n"))) {
    throw malformed("an empty line or a newline in the origin or an extension");
  }
  if (!Number.isSafeInteger(size) || size < 0 || size > SIZE_MAX) throw malformed("a size out of range");
  if (root.length !== HASH_LENGTH) throw malformed("a root that is not 32 bytes");
  return [origin, String(size), root.toBase64(), ...extensions, ""].join("\n");
}

function malformed(state: string): CodedError {
  return new CodedError("CHECKPOINT_MALFORMED", `Cannot read checkpoint: ${state}`);
}

defineErrors({
  CHECKPOINT_MALFORMED: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "It is no checkpoint (C2SP tlog-checkpoint): get the file again from where it was published.",
  },
  CHECKPOINT_EMPTY_ROOT: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "The log is faulty: keep the checkpoint, and ask whoever runs it.",
  },
});
