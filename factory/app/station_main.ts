/**
 * The station's process.
 *
 *     station_main.ts run --batch FILE --station FILE [--reader NAME]... [--once | --count N] [--json]
 *                         [--operator NAME] [--retry-authentication] [--go-on] [--virtual-readers HOST:PORT,...]
 *     station_main.ts diagnose --reader NAME --profile FILE [--station FILE] [--authenticate] [--json]
 *
 * SIGINT and SIGTERM end it when the cards in work are finished; a second one stops at once.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { runDiagnoseCommand } from "./station_diagnose.ts";
import { runStationCommand } from "./station_run.ts";

export { type DiagnoseCommand, runDiagnoseCommand } from "./station_diagnose.ts";
export { runStationCommand, type StationRunCommand, type StationSurroundings } from "./station_run.ts";

const OPTIONS = {
  batch: { type: "string" },
  station: { type: "string" },
  profile: { type: "string" },
  reader: { type: "string", multiple: true },
  once: { type: "boolean" },
  count: { type: "string" },
  json: { type: "boolean" },
  operator: { type: "string" },
  authenticate: { type: "boolean" },
  "retry-authentication": { type: "boolean" },
  "go-on": { type: "boolean" },
  "virtual-readers": { type: "string" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function usage(message: string): CodedError {
  return new CodedError("STATION_USAGE", message);
}

/** Leaves out what was not given. */
function given<T extends Record<string, unknown>>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function required(value: string | undefined, name: string): string {
  if (value === undefined) throw usage(`Cannot run: --${name} is missing`);
  return value;
}

function runOf(values: Values): Promise<number> {
  const count = values.count === undefined ? undefined : Number(values.count);
  if (count !== undefined && !(Number.isInteger(count) && count > 0)) {
    throw usage("Cannot run: --count takes a number");
  }
  const finish = new AbortController();
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => finish.signal.aborted ? stop.abort() : finish.abort());
  }
  return runStationCommand({
    batch: required(values.batch, "batch"),
    station: required(values.station, "station"),
    ...given({
      readers: values.reader,
      once: values.once,
      count,
      json: values.json,
      operator: values.operator,
      retryAuthentication: values["retry-authentication"],
      goOn: values["go-on"],
      virtualReaders: values["virtual-readers"],
    }),
  }, { write: (line) => console.log(line), finish: finish.signal, stop: stop.signal });
}

function diagnoseOf(values: Values): Promise<number> {
  return runDiagnoseCommand({
    reader: required(values.reader?.[0], "reader"),
    profile: required(values.profile, "profile"),
    ...given({
      station: values.station,
      authenticate: values.authenticate,
      json: values.json,
      virtualReaders: values["virtual-readers"],
    }),
  }, { write: (line) => console.log(line) });
}

/** Runs a command line and returns the exit code; failures are told on standard error, and as JSON with `--json`. */
export async function main(args: readonly string[]): Promise<number> {
  let values: Values = {};
  try {
    let positionals: string[];
    try {
      ({ values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true }));
    } catch (error) {
      throw usage(`Cannot run: ${(error as Error).message}`);
    }
    if (positionals.length === 1 && positionals[0] === "run") return await runOf(values);
    if (positionals.length === 1 && positionals[0] === "diagnose") return await diagnoseOf(values);
    throw usage("Cannot run: give run or diagnose");
  } catch (error) {
    const code = codeOf(error);
    const row = errorRow(code);
    const message = error instanceof Error ? error.message : String(error);
    const said = error instanceof CodedError ? error.details["next"] : undefined;
    const next = typeof said === "string" ? said : row.next;
    console.error(`station: ${message}\n    ${next}`);
    const exitCode = EXIT_CODES[row.fault];
    if (values.json) console.log(JSON.stringify({ error: { code, message, next }, exitCode }));
    return exitCode;
  }
}

// Native libraries keep threads and sockets that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));
