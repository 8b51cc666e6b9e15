/** Port to where a log's files are: a folder or a web server. What it gives is checked, never believed. */

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
