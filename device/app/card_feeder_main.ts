/**
 * One process that puts virtual cards on readers, by order of a parent.
 *
 *     card_feeder_main.ts --slot HOST:PORT [--slot HOST:PORT]... [--apdu-delay-ms N]
 *
 * Commands are JSON lines on standard input, events JSON lines on standard output:
 *
 *     {"insert":{"slot":0,"state":"path","options":{...},"apduDelayMs":30,"timing":"p71","faults":["before:7"],"awayMs":1500}}
 *         -> {"event":"inserted","slot":0,"state":"path","isNew":true}; without "state" the card lives in memory
 *     {"remove":{"slot":0}} -> {"event":"removed","slot":0,"apdus":57,"cardMs":812.5}
 *     {"stats":{"slot":0}}  -> {"event":"apdus","slot":0,"apdus":57,"cardMs":812.5}
 *
 * Besides come `attached`, `detached` and `fault` events with their slot. `cardMs` is the time from the arrival of
 * each APDU to its answer, the configured delay included, summed: what a benchmark subtracts. A command that
 * cannot be done is answered by {"event":"error","slot":0,"code":"...","message":"..."}. Ends with its input, or
 * on SIGTERM.
 */

import { parseArgs } from "node:util";
import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { parseFault } from "../card/fault_plan.ts";
import type { CardOptions } from "../card/options.ts";
import { parseTiming } from "../card/timing.ts";
import { VirtualCard } from "../card/virtual_card.ts";
import { attachToVpcd, type VpcdAttachment } from "../card/vpcd.ts";
import { parseAddress, parseDelay, printError, printEvent } from "./events.ts";

const SlotNumber = z.int().min(0).max(255);
const Command = z.union([
  z.strictObject({
    insert: z.strictObject({
      slot: SlotNumber,
      state: z.string().min(1).optional(),
      /** Checked by `VirtualCard.open`. */
      options: z.record(z.string(), z.unknown()).optional(),
      apduDelayMs: z.number().min(0).max(60_000).optional(),
      /** Checked by `parseTiming`. */
      timing: z.unknown().optional(),
      faults: z.array(z.string()).max(1000).optional(),
      awayMs: z.int().min(0).max(60_000).optional(),
    }),
  }),
  z.strictObject({ remove: z.strictObject({ slot: SlotNumber }) }),
  z.strictObject({ stats: z.strictObject({ slot: SlotNumber }) }),
]);
type Command = z.infer<typeof Command>;

/** Longest command line in characters. */
const LINE_MAX = 64 * 1024;

interface Occupied {
  readonly card: VirtualCard;
  readonly attachment: VpcdAttachment;
  readonly stop: AbortController;
}

interface Slot {
  readonly host: string;
  readonly port: number;
  occupied: Occupied | null;
}

/** The slots and what lies in them. */
class Feeder {
  readonly #slots: Slot[];
  readonly #apduDelayMs: number;

  constructor(addresses: readonly { host: string; port: number }[], apduDelayMs: number) {
    this.#slots = addresses.map((address) => ({ ...address, occupied: null }));
    this.#apduDelayMs = apduDelayMs;
  }

  async execute(command: Command): Promise<void> {
    if ("insert" in command) return await this.#insert(command.insert);
    if ("remove" in command) return await this.#remove(command.remove.slot);
    const { slot } = command.stats;
    const { attachment } = this.#occupied(slot);
    printEvent({ event: "apdus", slot, ...attachment.stats });
  }

  async #insert(order: Extract<Command, { insert: unknown }>["insert"]): Promise<void> {
    const slot = this.#slot(order.slot);
    if (slot.occupied !== null) {
      throw new CodedError("VCARD_SLOT", `Cannot insert card: slot ${order.slot} is occupied`);
    }
    const faultPlan = (order.faults ?? []).map(parseFault);
    const timing = order.timing === undefined ? undefined : parseTiming(order.timing);
    const card = await VirtualCard.open({
      ...order.options as CardOptions | undefined,
      ...(order.state === undefined ? {} : { stateFile: order.state }),
    });
    const stop = new AbortController();
    const attachment = attachToVpcd(card, {
      host: slot.host,
      port: slot.port,
      signal: stop.signal,
      faultPlan,
      apduDelayMs: order.apduDelayMs ?? this.#apduDelayMs,
      ...(timing === undefined ? {} : { timing }),
      ...(order.awayMs === undefined ? {} : { awayMs: order.awayMs }),
      // Events of single APDUs would cost more than the APDUs: `stats` sums them up.
      onEvent: (event) => event.event !== "apdu" && printEvent({ ...event, slot: order.slot }),
    });
    attachment.done.catch((error) => printError(error, { slot: order.slot }));
    slot.occupied = { card, attachment, stop };
    printEvent({
      event: "inserted",
      slot: order.slot,
      ...(order.state === undefined ? {} : { state: order.state }),
      isNew: card.isNew,
    });
  }

  async #remove(number: number): Promise<void> {
    const slot = this.#slot(number);
    const { card, attachment, stop } = this.#occupied(number);
    stop.abort();
    await attachment.done.catch(() => {});
    card.close();
    slot.occupied = null;
    printEvent({ event: "removed", slot: number, ...attachment.stats });
  }

  /** Removes every card. */
  async close(): Promise<void> {
    for (const [number, slot] of this.#slots.entries()) {
      if (slot.occupied !== null) await this.#remove(number);
    }
  }

  #slot(number: number): Slot {
    const slot = this.#slots[number];
    if (slot === undefined) throw new CodedError("VCARD_SLOT", `Cannot use slot ${number}: there is none`);
    return slot;
  }

  #occupied(number: number): Occupied {
    const { occupied } = this.#slot(number);
    if (occupied === null) throw new CodedError("VCARD_SLOT", `Cannot use slot ${number}: it is empty`);
    return occupied;
  }
}

/** Lines of a stream. @throws {CodedError} `CARD_APP_USAGE` for a line over `LINE_MAX`. */
async function* lines(input: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const reader = input.getReader();
  const aborted = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", aborted);
  const decoder = new TextDecoder();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += decoder.decode(value, { stream: true });
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      yield pending.slice(0, end);
      pending = pending.slice(end + 1);
    }
    if (pending.length > LINE_MAX) {
      throw new CodedError("CARD_APP_USAGE", "Cannot read command: line too long");
    }
  }
}

function parseCommand(line: string): Command {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new CodedError("CARD_APP_USAGE", "Cannot read command: it is not JSON");
  }
  const parsed = Command.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new CodedError("CARD_APP_USAGE", "Cannot read command: it is no insert, remove or stats");
}

/** The slot that a refused line named, for the answer. */
function slotOfLine(line: string): { slot?: number } {
  const named = /"slot"\s*:\s*(\d{1,3})/.exec(line)?.[1];
  return named === undefined ? {} : { slot: Number(named) };
}

/** Feeds cards until input or a signal ends it. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  Deno.addSignalListener("SIGTERM", abort);
  Deno.addSignalListener("SIGINT", abort);
  try {
    let values;
    try {
      ({ values } = parseArgs({
        args: [...args],
        options: {
          slot: { type: "string", multiple: true, default: [] },
          "apdu-delay-ms": { type: "string", default: "0" },
        },
      }));
    } catch (error) {
      throw new CodedError("CARD_APP_USAGE", `Cannot start feeder: ${(error as Error).message}`);
    }
    if (values.slot.length === 0) {
      throw new CodedError("CARD_APP_USAGE", "Cannot start feeder: --slot HOST:PORT is needed");
    }
    const feeder = new Feeder(values.slot.map(parseAddress), parseDelay(values["apdu-delay-ms"]));
    printEvent({
      event: "ready",
      ready: true,
      slots: values.slot.length,
      notice: "Virtual cards keep their keys in files: for tests only.",
    });
    for await (const line of lines(Deno.stdin.readable, stop.signal)) {
      if (line.trim() === "") continue;
      try {
        await feeder.execute(parseCommand(line));
      } catch (error) {
        printError(error, slotOfLine(line));
      }
    }
    await feeder.close();
    return 0;
  } catch (error) {
    return printError(error);
  } finally {
    Deno.removeSignalListener("SIGTERM", abort);
    Deno.removeSignalListener("SIGINT", abort);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
