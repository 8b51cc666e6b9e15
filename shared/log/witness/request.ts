/**
 * The body of `add-checkpoint` (C2SP tlog-witness): an old size line, proof lines, an empty line, a checkpoint note.
 */

import { fromStrictBase64 } from "../../base/base64.ts";
import { toUtf8 } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { type Checkpoint, parseCheckpoint } from "../checkpoint.ts";
import { HASH_LENGTH } from "../merkle.ts";
import { type Note, parseNote } from "../note.ts";
import { exactText, parseDecimal } from "../text.ts";

/** Most proof lines of a request, as the specification says. */
export const PROOF_LINES_MAX = 63;
/** Longest body in bytes that is read: 63 proof lines take 2,835, the rest is for the note and its signatures. */
export const REQUEST_BYTES_MAX = 65_536;

/** A request as it was read: nothing in it is verified. */
export interface AddCheckpointRequest {
  /** Size that the sender believes the witness cosigned last; 0 when never. */
  readonly old: number;
  /** Hashes of the consistency proof from the old size, 32 bytes each. */
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: Checkpoint;
  /**
   * The checkpoint's note; undefined when its signature lines are malformed. They are then nobody's valid signatures, which is
   * another answer (403) than a body of another form (400).
   */
  readonly note: Note | undefined;
}

/** Reads a body. @throws {CodedError} `WITNESS_REQUEST`, `CHECKPOINT_MALFORMED`, `CHECKPOINT_EMPTY_ROOT`. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpointRequest {
  if (body.length > REQUEST_BYTES_MAX) throw malformed(`over ${REQUEST_BYTES_MAX} bytes`);
  const text = exactText(body);
  if (text === undefined) throw malformed("it is not UTF-8");
  const split = text.indexOf("\n\n");
  if (split < 0) throw malformed("no empty line before the checkpoint");
  const [first, ...lines] = text.slice(0, split).split("\n");
  const old = first!.startsWith("old ") ? parseDecimal(first!.slice(4)) : undefined;
  if (old === undefined) throw malformed("the first line is not `old` and a size");
  if (lines.length > PROOF_LINES_MAX) throw malformed(`over ${PROOF_LINES_MAX} proof lines`);
  const proof = lines.map((line) => {
    const hash = fromStrictBase64(line);
    if (hash?.length !== HASH_LENGTH) throw malformed("a proof line that is not the Base64 text of 32 bytes");
    return hash;
  });
  return { old, proof, ...readNote(text.slice(split + 2)) };
}

function readNote(content: string): Pick<AddCheckpointRequest, "checkpoint" | "note"> {
  const end = content.lastIndexOf("\n\n");
  if (end < 0) throw malformed("the checkpoint has no signature");
  const checkpoint = parseCheckpoint(content.slice(0, end + 1));
  try {
    return { checkpoint, note: parseNote(toUtf8(content)) };
  } catch (error) {
    if (error instanceof CodedError) return { checkpoint, note: undefined };
    throw error;
  }
}

/** Writes a body. @param note bytes of the whole checkpoint note. */
export function formatAddCheckpoint(
  old: number,
  proof: readonly Uint8Array[],
  note: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const head = toUtf8(`old ${old}\n${proof.map((hash) => `${hash.toBase64()}\n`).join("")}\n`);
  const body = new Uint8Array(head.length + note.length);
  body.set(head);
  body.set(note, head.length);
  return body;
}

function malformed(state: string): CodedError {
  return new CodedError("WITNESS_REQUEST", `Cannot read request: ${state}`);
}

defineErrors({
  WITNESS_REQUEST: {
    fault: "peer",
    retry: false,
    http: 400,
    next: "Send `old N`, the consistency proof, an empty line and the checkpoint (C2SP tlog-witness).",
  },
});
