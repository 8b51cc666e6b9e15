/** How a process of one command ends: words, one JSON object with `--json`, an exit code by fault. */

import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";

/** Where a command's words and its result go. */
export interface CommandOutput {
  /** A line for people: standard output, with `--json` standard error. */
  say(text: string): void;
  /** The result for programs: printed with `--json` alone. */
  result(value: unknown): void;
}

/** Output of a command. */
export function commandOutput(json: boolean): CommandOutput {
  return {
    say: (text) => json ? console.error(text) : console.log(text),
    result: (value) => {
      if (json) console.log(JSON.stringify(value));
    },
  };
}

/** Runs a command to its exit code; a failure is told on standard error, and as JSON with `json`. */
export async function runCommand(
  name: string,
  json: boolean,
  work: (output: CommandOutput) => Promise<number>,
): Promise<number> {
  const output = commandOutput(json);
  try {
    return await work(output);
  } catch (error) {
    const code = codeOf(error);
    const row = errorRow(code);
    const message = error instanceof Error ? error.message : String(error);
    const said = error instanceof CodedError ? error.details["next"] : undefined;
    const next = typeof said === "string" ? said : row.next;
    console.error(`${name}: ${message}\n    ${next}`);
    const exitCode = EXIT_CODES[row.fault];
    output.result({ error: { code, message, next }, exitCode });
    return exitCode;
  }
}
