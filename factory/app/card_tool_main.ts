/**
 * The card tool's process: any GlobalPlatform card over PC/SC.
 *
 *     card_tool_main.ts VERB ... --state FOLDER [--reader NAME] [--virtual-readers HOST:PORT,...] [--keys FILE|- | --test-keys]
 *                       [--key-version VV] [--domain AID] [--dry-run] [--trace FILE] [--retry-authentication] [--json]
 *
 * Verbs: info, list, diagnose, keys list|put|delete, lock, unlock, load, install, delete, apdu, trace, replay.
 * `--state` is the folder of failed authentications. Exit codes are those of `rk help exit-codes`.
 */

import { EXIT_CODES } from "shared/base/errors.ts";
import { parseRecording, RECORDING_BYTES_MAX } from "../domain/card_tool/recording.ts";
import { type CardToolOptions, parseArguments, usage } from "./card_tool_arguments.ts";
import {
  runApdu,
  runDiagnose,
  runInfo,
  runKeys,
  runList,
  runLock,
  runReplay,
  textOf,
} from "./card_tool_commands.ts";
import { runDelete, runInstall, runLoad } from "./card_tool_content.ts";
import { readFile } from "./card_tool_files.ts";
import { recordingLines } from "./card_tool_print.ts";
import {
  type CardToolResult,
  type CardToolRun,
  type CardToolSurroundings,
  explain,
  runOnCard,
} from "./card_tool_run.ts";

const VERBS: Readonly<Record<string, (run: CardToolRun) => Promise<CardToolResult>>> = {
  info: runInfo,
  list: runList,
  diagnose: runDiagnose,
  keys: runKeys,
  lock: (run) => runLock(run, true),
  unlock: (run) => runLock(run, false),
  load: runLoad,
  install: runInstall,
  delete: runDelete,
  apdu: runApdu,
  replay: runReplay,
};

/** `rk card trace FILE`: no card is needed. */
function showTrace(
  words: readonly string[],
  options: CardToolOptions,
  { write, complain }: CardToolSurroundings,
): number {
  const path = words[1];
  if (path === undefined || words.length > 2) throw usage("Cannot show: give one trace");
  const recording = parseRecording(textOf(readFile(path, "trace", RECORDING_BYTES_MAX), path));
  for (const line of recordingLines(recording)) (options.json ? complain : write)(line);
  if (options.json) write(JSON.stringify(recording));
  return EXIT_CODES.ok;
}

/** Runs a command line and returns the exit code; failures are told on standard error, and as JSON with `--json`. */
export async function main(
  args: readonly string[],
  surroundings: CardToolSurroundings = {
    write: (line) => console.log(line),
    complain: (line) => console.error(line),
  },
): Promise<number> {
  let options: CardToolOptions = args.includes("--json") ? { json: true } : {};
  try {
    const parsed = parseArguments(args);
    options = parsed.options;
    const verb = parsed.words[0] ?? "";
    if (verb === "trace") return showTrace(parsed.words, options, surroundings);
    const run = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
    if (run === undefined) throw usage(`Cannot run: give ${Object.keys(VERBS).join(", ")} or trace`);
    return await runOnCard(options, parsed.words, run, surroundings);
  } catch (error) {
    return explain(error, options, surroundings);
  }
}

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));
