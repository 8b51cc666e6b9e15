/** How commands speak: words on standard error and output, one JSON object as the last line with `--json`, exit codes by fault. */

import { CodedError, codeOf, EXIT_CODES } from "shared/base/errors.ts";

/** Options that every command has. */
export interface CommonOptions {
  /** The last line printed is one JSON object. */
  json?: boolean;
}

/** Prints a line for people: on standard error with `--json`, so that standard output stays for programs. */
export function say(options: CommonOptions, text: string): void {
  if (options.json) console.error(text);
  else console.log(text);
}

/** Prints the result of a command for programs. */
export function result(options: CommonOptions, value: unknown): void {
  if (options.json) console.log(JSON.stringify(value));
}

/** Runs a command's action: failures become a message, a JSON object with `--json`, and a documented exit code. */
export function action<A extends unknown[]>(
  run: (...parameters: A) => Promise<number | void>,
): (...parameters: A) => Promise<void> {
  return async (...parameters) => {
    const options = (parameters.at(-2) ?? {}) as CommonOptions;
    let code = 0;
    try {
      code = (await run(...parameters)) ?? 0;
    } catch (error) {
      code = explain(error, options);
    }
    // Native libraries keep threads that would hold the process open.
    Deno.exit(code);
  };
}

/** Prints a failure and returns its exit code. */
export function explain(error: unknown, options: CommonOptions = {}): number {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const row = error instanceof CodedError ? error.row : undefined;
  const exit = EXIT_CODES[row?.fault ?? "bug"];
  console.error(`rk: ${message}`);
  if (row) console.error(`    ${row.next}`);
  if (!row && error instanceof Error && Deno.env.get("RK_DEBUG")) console.error(error.stack);
  result(options, { error: { code, message, next: row?.next ?? null }, exitCode: exit });
  return exit;
}
