/**
 * APDUs over TCP in the framing of public simulators: a 4-byte big-endian length and the APDU; the answer is the 4-byte
 * length of its data, the data, and the status word (2). One program at a time; another waits until it leaves.
 */

import { concat, readUint, writeUint } from "shared/base/bytes.ts";

/** Longest APDU in bytes: header, Lc, 255 of data, Le. */
export const APDU_LENGTH_MAX = 261;
const LENGTH_BYTES = 4;
const STATUS_BYTES = 2;

/** What answers APDUs with data || status word. */
export interface ApduHandler {
  process(apdu: Uint8Array): Promise<Uint8Array>;
  /** The program has left: what was begun ends. */
  end(): void;
}

/** Cuts a stream into APDUs. A longer one than can be, or one cut off, ends it. */
export async function* readFrames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    pending = concat(pending, chunk);
    while (pending.length >= LENGTH_BYTES) {
      const length = readUint(pending.subarray(0, LENGTH_BYTES));
      if (length > APDU_LENGTH_MAX) return;
      if (pending.length < LENGTH_BYTES + length) break;
      yield pending.slice(LENGTH_BYTES, LENGTH_BYTES + length);
      pending = pending.slice(LENGTH_BYTES + length);
    }
  }
}

/** An answer (data || status word) as a frame. */
export function answerFrame(answer: Uint8Array): Uint8Array {
  return concat(writeUint(answer.length - STATUS_BYTES, LENGTH_BYTES), answer);
}

/** Serves until the listener is closed. */
export async function serveApdus(listener: Deno.Listener, handler: ApduHandler): Promise<void> {
  const open = new Set<Deno.Conn>();
  try {
    for (;;) {
      const connection = await listener.accept();
      open.add(connection);
      try {
        for await (const apdu of readFrames(connection.readable)) {
          const frame = answerFrame(await handler.process(apdu));
          for (let written = 0; written < frame.length;) {
            written += await connection.write(frame.subarray(written));
          }
        }
      } catch (error) {
        if (!isGone(error)) throw error;
      } finally {
        handler.end();
        open.delete(connection);
        close(connection);
      }
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  } finally {
    for (const connection of open) close(connection);
  }
}

function isGone(error: unknown): boolean {
  const { BadResource, Interrupted, ConnectionReset, ConnectionAborted, BrokenPipe } = Deno.errors;
  return [BadResource, Interrupted, ConnectionReset, ConnectionAborted, BrokenPipe].some((kind) =>
    error instanceof kind
  );
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // The other side was faster.
  }
}
