/** How a process of ours begins and ends. */

import { CodedError, codeOf, errorRow, EXIT_CODES } from "./errors.ts";
import type { Logger } from "./log.ts";

/**
 * Runs a process's main part. A failure is told on standard error, code and advice, and ends it with the exit code of its fault.
 * @param what `the node`: an error that is none of ours may hold anything, so nothing but its kind is told.
 */
export async function runMain(what: string, main: (args: string[]) => Promise<void>): Promise<void> {
  try {
    await main(Deno.args);
  } catch (error) {
    const code = codeOf(error);
    const { fault, next } = errorRow(code);
    const kind = error instanceof Error ? `: ${error.name}` : "";
    const message = error instanceof CodedError ? error.message : `${what} failed${kind}`;
    console.error(`${code}: ${message}\n${next}`);
    Deno.exit(EXIT_CODES[fault]);
  }
}

/** Ends the process in order at SIGTERM and SIGINT; a second signal changes nothing. */
export function stopOnSignals(stop: () => Promise<void>, log: Logger): void {
  let stopping = false;
  const handler = () => {
    if (stopping) return;
    stopping = true;
    // A crash of a token's library while it unloads is no failure of ours: leave at once.
    stop().then(() => Deno.exit(EXIT_CODES.ok), (error) => {
      log.error("stop-failed", { code: codeOf(error), error });
      Deno.exit(EXIT_CODES.bug);
    });
  };
  for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, handler);
}
