/** The card tool's command line. */

import { parseArgs } from "node:util";
import { fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { isAid } from "shared/protocol/gp/aid.ts";
import { parseKeyVersion } from "../domain/card_tool/key_file.ts";
import "../domain/card_tool/errors.ts";

const OPTIONS = {
  reader: { type: "string" },
  "virtual-readers": { type: "string" },
  state: { type: "string" },
  json: { type: "boolean" },
  "dry-run": { type: "boolean" },
  trace: { type: "string" },
  keys: { type: "string" },
  "test-keys": { type: "boolean" },
  "key-version": { type: "string" },
  "retry-authentication": { type: "boolean" },
  domain: { type: "string" },
  level: { type: "string" },
  mode: { type: "string" },
  // of single commands
  "new-keys": { type: "string" },
  "new-version": { type: "string" },
  "replace-version": { type: "string" },
  card: { type: "boolean" },
  applications: { type: "boolean" },
  dap: { type: "string" },
  "dap-domain": { type: "string" },
  sd: { type: "string" },
  replace: { type: "boolean" },
  related: { type: "boolean" },
  package: { type: "string" },
  module: { type: "string" },
  aid: { type: "string" },
  privileges: { type: "string" },
  parameters: { type: "string" },
  select: { type: "string" },
  secure: { type: "boolean" },
  file: { type: "string" },
} as const;

/** Options as they were given. */
export type CardToolOptions = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

/** A command line. */
export interface CardToolArguments {
  readonly options: CardToolOptions;
  /** Verb and what follows it. */
  readonly words: readonly string[];
}

/** A wrong command line. */
export function usage(message: string): CodedError {
  return new CodedError("CARDTOOL_USAGE", message);
}

/** Reads a command line. @throws {CodedError} `CARDTOOL_USAGE`. */
export function parseArguments(args: readonly string[]): CardToolArguments {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    return { options: values, words: positionals };
  } catch (error) {
    throw usage(`Cannot run: ${(error as Error).message}`);
  }
}

/** An AID in hex, or nothing. @throws {CodedError} `CARDTOOL_USAGE`. */
export function aidOption(text: string | undefined, name: string): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const bytes = hexOption(text, name);
  if (!isAid(bytes)) throw usage(`Cannot use ${name}: ${bytes.length} bytes, an AID has 5 to 16`);
  return bytes;
}

/** Bytes in hex. @throws {CodedError} `CARDTOOL_USAGE`. */
export function hexOption(text: string, name: string): Uint8Array {
  try {
    return fromHex(text.replaceAll(":", ""));
  } catch {
    throw usage(`Cannot use ${name}: it is not hex`);
  }
}

/** A key version, or nothing. @throws {CodedError} `CARDTOOL_USAGE`. */
export function versionOption(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseKeyVersion(text);
}

/** Options that a person repeats for the next command on the same card, for clean-up commands. */
export function sameCard(options: CardToolOptions): string[] {
  const named = ["reader", "virtual-readers", "keys", "key-version", "domain", "level", "mode"] as const;
  return [
    ...named.flatMap((name) => {
      const value = options[name];
      if (value === undefined) return [];
      // What came through a pipe has no name to repeat.
      return name === "keys" && value === "-" ? ["--keys", "FILE"] : [`--${name}`, value];
    }),
    ...(options["test-keys"] ? ["--test-keys"] : []),
  ];
}

/** Words as a shell takes them. */
export function shellWords(words: readonly string[]): string {
  return words.map((word) => /^[A-Za-z0-9_./:,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
    .join(" ");
}
