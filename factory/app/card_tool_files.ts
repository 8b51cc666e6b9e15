/** Files that the card tool reads and writes. */

import { fromUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { readSecretFile, SECRET_FILE_LIMIT_BYTES } from "shared/transport/secret_file.ts";
import { type KeySource, parseKeyFile, testKeys } from "../domain/card_tool/key_file.ts";
import type { TraceLine } from "../domain/card_tool/trace.ts";
import { type CardToolOptions, usage } from "./card_tool_arguments.ts";

/** Reads a file. @throws {CodedError} `CARDTOOL_FILE`. */
export function readFile(path: string, what: string, limitBytes: number): Uint8Array {
  try {
    const { size } = Deno.statSync(path);
    if (size > limitBytes) {
      throw new CodedError("CARDTOOL_FILE", `Cannot read ${what} ${path}: more than ${limitBytes} bytes`);
    }
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError("CARDTOOL_FILE", `Cannot read ${what} ${path}: ${(error as Error).name}`);
  }
}

/** Standard input to its end. @throws {CodedError} `CARDTOOL_FILE` beyond the limit. */
export function readStandardInput(limitBytes: number): Uint8Array {
  const buffer = new Uint8Array(limitBytes + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = Deno.stdin.readSync(buffer.subarray(length));
    if (read === null) return buffer.subarray(0, length);
    length += read;
  }
  buffer.fill(0);
  throw new CodedError("CARDTOOL_FILE", `Cannot read standard input: more than ${limitBytes} bytes`);
}

/** Keys of a file that only its owner can read, or of standard input (`-`). @throws {CodedError} `SECRET_FILE_*`, `CARDTOOL_KEY_FILE`. */
export function readKeys(path: string): KeySource {
  if (path !== "-") {
    using secret = readSecretFile(path);
    return parseKeyBytes(secret.reveal());
  }
  const bytes = readStandardInput(SECRET_FILE_LIMIT_BYTES);
  try {
    return parseKeyBytes(bytes);
  } finally {
    bytes.fill(0);
  }
}

function parseKeyBytes(bytes: Uint8Array): KeySource {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch {
    throw new CodedError("CARDTOOL_KEY_FILE", "Cannot read key file: it is not UTF-8");
  }
  return parseKeyFile(text);
}

/** The keys that were given, if any. @throws {CodedError} as `readKeys`; `CARDTOOL_USAGE` for two kinds at once. */
export function givenKeys(options: CardToolOptions): KeySource | undefined {
  if (options["test-keys"] && options.keys !== undefined) {
    throw usage("Cannot run: --keys and --test-keys exclude one another");
  }
  if (options["test-keys"]) return testKeys();
  return options.keys === undefined ? undefined : readKeys(options.keys);
}

/** A trace file. */
export interface TraceFile {
  write(line: TraceLine): void;
  close(): void;
}

/** Opens a trace for appending; only its owner can read it. @throws {CodedError} `CARDTOOL_FILE`. */
export function openTrace(path: string): TraceFile {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { create: true, append: true, mode: 0o600 });
  } catch (error) {
    throw new CodedError("CARDTOOL_FILE", `Cannot write trace ${path}: ${(error as Error).name}`);
  }
  const encoder = new TextEncoder();
  return {
    write(line) {
      const bytes = encoder.encode(`${JSON.stringify(line)}\n`);
      for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
    },
    close: () => file.close(),
  };
}
