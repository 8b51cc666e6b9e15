/**
 * A checkpoint that can be trusted: signed by its log, and cosigned by as many of the known witnesses as the reader asks for.
 */

import { CodedError, defineErrors } from "../base/errors.ts";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { parseCosignature } from "./cosignature.ts";
import { type Note, type NoteVerifier, parseNote, verifyNote } from "./note.ts";

/** Whom a reader believes. */
export interface CheckpointPolicy {
  /** Origin line that the checkpoint must have. */
  readonly origin: string;
  /** Keys of the log (type 1): one must have signed. During a change of keys there are two. */
  readonly log: readonly NoteVerifier[];
  /** Keys of witnesses (type 4). */
  readonly witnesses: readonly NoteVerifier[];
  /** How many different witnesses must have cosigned: 0 to all of them. */
  readonly quorum: number;
}

/** A checkpoint that fulfils its policy. */
export interface TrustedCheckpoint extends Checkpoint {
  readonly note: Note;
  /** Known witnesses that cosigned, with the time that each gave, in seconds since 1970. */
  readonly cosignatures: readonly { readonly name: string; readonly timestamp: number }[];
}

/**
 * Opens a checkpoint note.
 * @throws {CodedError} `NOTE_*`, `CHECKPOINT_MALFORMED`, `CHECKPOINT_EMPTY_ROOT`; `CHECKPOINT_ORIGIN` for another log's,
 * `CHECKPOINT_UNSIGNED` when the log's own signature is missing, `CHECKPOINT_QUORUM` when too few witnesses cosigned.
 */
export function openCheckpoint(bytes: Uint8Array, policy: CheckpointPolicy): TrustedCheckpoint {
  if (!Number.isSafeInteger(policy.quorum) || policy.quorum < 0 || policy.quorum > policy.witnesses.length) {
    throw new CodedError(
      "CHECKPOINT_POLICY",
      `Cannot ask for ${policy.quorum} cosignatures: ${policy.witnesses.length} witnesses are known`,
    );
  }
  const note = parseNote(bytes);
  // The signatures first: nothing in a note means anything before.
  const verified = verifyNote(note, [...policy.log, ...policy.witnesses]);
  if (!verified.some(({ verifier }) => policy.log.includes(verifier))) {
    throw new CodedError("CHECKPOINT_UNSIGNED", "Cannot trust checkpoint: the log itself has not signed it");
  }
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== policy.origin) {
    throw new CodedError("CHECKPOINT_ORIGIN", `Cannot use checkpoint: it is not of ${policy.origin}`);
  }
  const cosignatures = verified
    .filter(({ verifier }) => policy.witnesses.includes(verifier))
    .map(({ name, signature }) => ({ name, timestamp: parseCosignature(signature)!.timestamp }));
  if (cosignatures.length < policy.quorum) {
    throw new CodedError(
      "CHECKPOINT_QUORUM",
      `Cannot trust checkpoint: ${cosignatures.length} of ${policy.quorum} witnesses have cosigned it`,
    );
  }
  return { ...checkpoint, note, cosignatures };
}

defineErrors({
  CHECKPOINT_ORIGIN: {
    fault: "peer",
    retry: false,
    http: 404,
    next: "It is another log's: give that log's origin and key.",
  },
  CHECKPOINT_UNSIGNED: {
    fault: "peer",
    retry: false,
    http: 403,
    next: "Give the verifier key of the log. If it is the right one, the checkpoint is forged: keep it.",
  },
  CHECKPOINT_QUORUM: {
    fault: "peer",
    retry: true,
    next: "Fetch a newer checkpoint, or ask the witnesses why they do not cosign.",
  },
  CHECKPOINT_POLICY: {
    fault: "configuration",
    retry: false,
    next: "Ask for at most as many cosignatures as there are witness keys.",
  },
});
