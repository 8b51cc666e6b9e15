/** Port to what a witness must not forget: which checkpoints it cosigned. */

import { defineErrors } from "../../base/errors.ts";
import type { TreeHead } from "./decision.ts";

/** A checkpoint that was cosigned. */
export interface CosignedCheckpoint extends TreeHead {
  /** The whole note: text and signatures of the log. */
  readonly note: Uint8Array;
  /** Time of the last cosignature over it, in seconds since 1970. */
  readonly timestamp: number;
}

/** What a witness must not forget. All calls return when it is on the disk. */
export interface WitnessStateStore {
  /** The largest checkpoint that was cosigned for an origin. */
  latest(origin: string): CosignedCheckpoint | undefined;
  /** What was cosigned for one size; undefined also when it was too long ago. */
  at(origin: string, size: number): CosignedCheckpoint | undefined;
  /** The latest time of any cosignature, in seconds since 1970; 0 when there is none. */
  lastTimestamp(): number;
  /**
   * Remembers a checkpoint, durably, before it is cosigned.
   * @param previousSize size of `latest` when it was decided; undefined when there was none.
   * @throws {CodedError} `WITNESS_STATE_MOVED` when `latest` is another one now, `WITNESS_STATE_UNUSABLE` when it cannot be
   *   written, `WITNESS_ROLLED_BACK` when the file is not the one that was opened.
   */
  commit(origin: string, previousSize: number | undefined, next: CosignedCheckpoint): void;
  /** Closes the store. */
  close(): void;
}

defineErrors({
  WITNESS_STATE_MOVED: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Another checkpoint of this log came first: send again.",
  },
  WITNESS_STATE_UNUSABLE: {
    fault: "service",
    retry: true,
    http: 503,
    next:
      "Check that the state folder is on a healthy local disk with room. Do not delete the state: without it " +
      "the witness could cosign a second history.",
  },
  WITNESS_STATE_LOCKED: {
    fault: "usage",
    retry: true,
    next:
      "Another witness works in this state folder: stop it, or give this one a folder and a key of its own.",
  },
  WITNESS_ROLLED_BACK: {
    fault: "service",
    retry: false,
    http: 503,
    next:
      "The state is older than what this witness cosigned. Restore the newest state; if it is lost, give the witness a " +
      "new key and tell the logs, then remove the high-water file.",
  },
});
