/**
 * The virtual card as a process on a vpcd reader.
 *
 *     card_main.ts --vpcd HOST:PORT --state FILE [--options FILE|-] [--apdu-delay-ms N] [--timing p71|JSON] [--fault KIND:INDEX]...
 *
 * `--options` is the JSON of `CardOptions`; `-` reads it from standard input. It matters when FILE does not exist
 * yet. Prints events as JSON lines; ends on SIGTERM or SIGINT with exit code 0.
 */

import { parseArgs } from "node:util";
import { CodedError } from "shared/base/errors.ts";
import { parseFault } from "../card/fault_plan.ts";
import { parseCardOptions } from "../card/options.ts";
import { type ChipTiming, parseTiming } from "../card/timing.ts";
import { VirtualCard } from "../card/virtual_card.ts";
import { attachToVpcd } from "../card/vpcd.ts";
import { parseAddress, parseDelay, printError, printEvent } from "./events.ts";

/** Longest option text in bytes. */
const OPTIONS_MAX = 64 * 1024;

async function readOptions(path: string | undefined) {
  if (path === undefined) return {};
  if (path !== "-") {
    try {
      return parseCardOptions(await Deno.readTextFile(path));
    } catch (error) {
      if (error instanceof CodedError) throw error;
      throw new CodedError("VCARD_OPTIONS", `Cannot read options ${path}`, { path }, error);
    }
  }
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of Deno.stdin.readable) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > OPTIONS_MAX) throw new CodedError("VCARD_OPTIONS", "Cannot read options: too long");
  }
  return parseCardOptions(text);
}

/** `p71`, or a JSON object. */
function readTiming(text: string): ChipTiming {
  if (!text.startsWith("{")) return parseTiming(text);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CodedError("VCARD_TIMING", "Cannot set timing: it is not JSON");
  }
  return parseTiming(json);
}

function readArguments(args: readonly string[]) {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        vpcd: { type: "string" },
        state: { type: "string" },
        options: { type: "string" },
        "apdu-delay-ms": { type: "string", default: "0" },
        timing: { type: "string" },
        fault: { type: "string", multiple: true, default: [] },
      },
    }));
  } catch (error) {
    throw new CodedError("CARD_APP_USAGE", `Cannot start card: ${(error as Error).message}`);
  }
  const { vpcd, state } = values;
  if (vpcd === undefined || state === undefined) {
    throw new CodedError("CARD_APP_USAGE", "Cannot start card: --vpcd HOST:PORT and --state FILE are needed");
  }
  return {
    address: parseAddress(vpcd),
    stateFile: state,
    optionsFile: values.options,
    apduDelayMs: parseDelay(values["apdu-delay-ms"]),
    faultPlan: values.fault.map(parseFault),
    timing: values.timing === undefined ? undefined : readTiming(values.timing),
  };
}

/** Runs the card until a signal ends it. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let card: VirtualCard | undefined;
  const stop = new AbortController();
  const abort = () => stop.abort();
  Deno.addSignalListener("SIGTERM", abort);
  Deno.addSignalListener("SIGINT", abort);
  try {
    const { address, stateFile, optionsFile, apduDelayMs, faultPlan, timing } = readArguments(args);
    card = await VirtualCard.open({ ...await readOptions(optionsFile), stateFile });
    printEvent({
      event: "card",
      state: stateFile,
      isNew: card.isNew,
      notice: "A virtual card keeps its keys in a file: for tests only.",
    });
    if (card.hasTestKeys) {
      printEvent({
        event: "warning",
        code: "VCARD_TEST_KEYS",
        message: "The ISD has the published test keys (version 30 if new): they protect nothing.",
      });
    }
    await attachToVpcd(card, {
      ...address,
      signal: stop.signal,
      faultPlan,
      apduDelayMs,
      ...(timing === undefined ? {} : { timing }),
      onEvent: printEvent,
    }).done;
    printEvent({ event: "stopped" });
    return 0;
  } catch (error) {
    return printError(error);
  } finally {
    card?.close();
    Deno.removeSignalListener("SIGTERM", abort);
    Deno.removeSignalListener("SIGINT", abort);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
