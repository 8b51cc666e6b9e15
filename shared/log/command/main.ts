/**
 * The process of `rk log`: reads a log from a folder or an address and prints. It can write nothing.
 *
 *     main.ts REQUEST
 *
 * REQUEST: JSON, see request.ts. Exit codes as `rk help exit-codes` says; a log that does not verify is 4.
 */

import { CodedError, codeOf, defineErrors, errorRow, EXIT_CODES } from "../../base/errors.ts";
import { LogRequest } from "./request.ts";
import { runRequest } from "./run.ts";

function parseRequest(text: string | undefined): LogRequest {
  const parsed = LogRequest.safeParse(JSON.parse(text ?? "null"));
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new CodedError("LOG_USAGE", `Cannot do this: ${places.join("; ")}`);
}

async function main(text: string | undefined): Promise<number> {
  let json = false;
  try {
    const request = parseRequest(text);
    json = request.json;
    return await runRequest(request);
  } catch (error) {
    const code = codeOf(error);
    const { next, fault } = errorRow(code);
    const message = error instanceof Error ? error.message : String(error);
    console.error(`log: ${message}\n    ${next}`);
    const exitCode = EXIT_CODES[fault];
    if (json) console.log(JSON.stringify({ error: { code, message, next }, exitCode }));
    return exitCode;
  }
}

defineErrors({
  LOG_USAGE: { fault: "usage", retry: false, next: "`rk log --help` names verbs and options." },
});

if (import.meta.main) Deno.exit(await main(Deno.args[0]));
