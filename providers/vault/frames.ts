/**
 * Frames between node and vault over two named pipes: length (4 bytes) || JSON. A pipe that ends in the middle of a frame is
 * opened again from the start, so that a killed process never shifts the frames of the next one.
 */

import { concat, fromUtf8, readUint, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import "../provider_errors.ts";

/** Longest frame, in bytes. */
export const FRAME_MAX = 262_144;
const LENGTH_BYTES = 4;
const CHUNK = 65_536;

/** Names of the pipes in their folder. */
export const PIPES = { requests: "requests", answers: "answers" } as const;

/** Reads frames until the other side closes. @throws {CodedError} `PROVIDER_VAULT` for a frame that is too long or no JSON. */
export async function* readFrames(file: Deno.FsFile): AsyncGenerator<unknown> {
  const chunk = new Uint8Array(CHUNK);
  let pending = new Uint8Array() as Uint8Array;
  for (;;) {
    while (pending.length >= LENGTH_BYTES) {
      const length = readUint(pending.subarray(0, LENGTH_BYTES));
      if (length > FRAME_MAX) throw new CodedError("PROVIDER_VAULT", `Cannot read frame: ${length} bytes`);
      if (pending.length < LENGTH_BYTES + length) break;
      yield parse(pending.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      pending = pending.slice(LENGTH_BYTES + length);
    }
    const read = await file.read(chunk);
    if (read === null) return;
    pending = concat(pending, chunk.subarray(0, read));
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    // What the parser says could repeat what is inside.
    throw new CodedError("PROVIDER_VAULT", "Cannot read frame: it is no JSON");
  }
}

/** Writes whole frames, one after the other. */
export class FrameWriter {
  readonly #file: Deno.FsFile;
  #last: Promise<void> = Promise.resolve();

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Writes one frame. */
  write(value: unknown): Promise<void> {
    const text = toUtf8(JSON.stringify(value));
    const bytes = concat(writeUint(text.length, LENGTH_BYTES), text);
    const written = this.#last.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    });
    this.#last = written.catch(() => {});
    return written;
  }
}
