/** Port to where a log's files are: a folder or a web server. What it gives is checked, never believed. */

import { defineErrors } from "../base/errors.ts";

/** Path of the checkpoint below the log's prefix. C2SP tlog-tiles. */
export const CHECKPOINT_PATH = "checkpoint";

/** Reads files by their path below the log's prefix. */
export interface LogSource {
  /** Where the files are, for people. */
  readonly name: string;
  /**
   * The bytes of a file; undefined when there is none.
   * @param maxBytes a longer file is not read.
   * @throws {CodedError} `LOG_SOURCE_UNAVAILABLE`, `LOG_SOURCE_TOO_LARGE`.
   */
  read(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

defineErrors({
  LOG_SOURCE_UNAVAILABLE: {
    fault: "service",
    retry: true,
    next: "Check the folder or the address of the log.",
  },
  LOG_SOURCE_TOO_LARGE: {
    fault: "peer",
    retry: false,
    next: "No file of a log is that long: keep it, and ask whoever runs the log.",
  },
});
