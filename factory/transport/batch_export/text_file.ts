/** Reading a text file of any size piece by piece: its lines as they come, and its end. */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Longest line that is read, in characters: a record with its table columns is far below. */
export const LINE_MAX = 256 * 1024;

/** A line of a file. */
export interface TextLine {
  /** Without its end. */
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** Whether a line feed ends it: false for the last line of a file that was cut off. */
  readonly ended: boolean;
}

/**
 * The lines of a file of UTF-8; a carriage return before the line feed stays.
 * @throws {CodedError} `BATCH_FILE`, also for a line above {@link LINE_MAX} and for bytes that are no UTF-8.
 */
export async function* textLines(path: string): AsyncGenerator<TextLine> {
  using file = await open(path);
  let rest = "";
  let number = 0;
  try {
    for await (const piece of file.readable.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const text of lines) yield { text: bounded(path, text), number: ++number, ended: true };
      bounded(path, rest);
    }
  } catch (error) {
    if (error instanceof TypeError) {
      throw new CodedError("BATCH_FILE", `Cannot read ${path}: it is not UTF-8`);
    }
    throw error;
  }
  if (rest !== "") yield { text: rest, number: ++number, ended: false };
}

function bounded(path: string, text: string): string {
  if (text.length <= LINE_MAX) return text;
  throw new CodedError("BATCH_FILE", `Cannot read ${path}: a line is longer than ${LINE_MAX} characters`);
}

/** The last line of a file, if it is short enough; empty lines do not count. @throws {CodedError} `BATCH_FILE`. */
export async function lastLine(path: string): Promise<string> {
  using file = await open(path);
  const { size } = await file.stat();
  await file.seek(Math.max(0, size - LINE_MAX), Deno.SeekMode.Start);
  const bytes = new Uint8Array(Math.min(size, LINE_MAX));
  for (let filled = 0; filled < bytes.length;) {
    const read = await file.read(bytes.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return new TextDecoder().decode(bytes).trimEnd().split("\n").at(-1) ?? "";
}

/** A whole small file. @throws {CodedError} `BATCH_FILE`. */
export async function smallText(path: string): Promise<string> {
  using file = await open(path);
  const { size } = await file.stat();
  if (size > LINE_MAX) {
    throw new CodedError("BATCH_FILE", `Cannot read ${path}: it is longer than ${LINE_MAX} bytes`);
  }
  return await new Response(file.readable).text();
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    throw new CodedError("BATCH_FILE", `Cannot read ${path}: it is missing or closed to us`, {}, error);
  }
}

defineErrors({
  BATCH_FILE: { fault: "usage", retry: false, next: "Give a readable file of the right kind." },
});
