/** The card tool over a virtual card in this process. */

import { main } from "factory/app/card_tool_main.ts";
import type { CardOptions } from "device/card/options.ts";
import { inProcessReaders } from "device/card/in_process_channel.ts";
import type { FaultPlan } from "device/card/fault_plan.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import type { CardChannel, ReaderService } from "shared/transport/card_channel.ts";

/** One row of a registry. */
export interface Row {
  readonly aid: string;
  readonly lifeCycle: string;
  readonly privileges: readonly string[];
  readonly modules: readonly string[];
}

/** Fields of all reports: each command has some of them, and each test reads those of its command. */
export interface Report {
  readonly error: { readonly code: string; readonly message: string };
  readonly left?: { readonly state: readonly string[]; readonly cleanUp: readonly string[] };
  readonly apdus: number;
  readonly complete: boolean;
  readonly reason: string;
  readonly issuerDomain: Row;
  readonly domains: readonly Row[];
  readonly applications: readonly Row[];
  readonly packages: readonly Row[];
  readonly domain: string;
  readonly chip: string;
  readonly globalPlatform: string;
  readonly secureChannels: readonly string[];
  readonly keyDiversificationData: string;
  readonly authenticationFailure: { readonly outcome: string } | null;
  readonly cplc: { readonly hex: string };
  readonly unanswered: readonly unknown[];
  readonly authenticated: boolean;
  readonly lifeCycle: string;
  readonly findings: readonly string[];
  readonly keys: readonly { readonly id: number; readonly version: number }[];
  readonly given: Readonly<Record<string, string>>;
  readonly version: number;
  readonly package: { readonly packageAid: string };
  readonly packageAid: string;
  readonly deleted: readonly string[];
  readonly instance: string;
  readonly before: string;
  readonly after: string;
  readonly dryRun: boolean;
  readonly commands: readonly { readonly sent: boolean; readonly command: string; readonly apdu: string }[];
  readonly answers: readonly { readonly data: string; readonly sw: string }[];
  readonly rows: readonly { readonly outcome: string; readonly why: string | null }[];
  readonly equal: number;
  readonly differing: number;
}

/** What one command came to. */
export interface Ran {
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly err: string;
  /** Last line of standard output, when `--json` was given. */
  readonly json: Report;
}

/** A card, a folder and the tool. */
export interface Bench extends AsyncDisposable {
  readonly folder: string;
  readonly stateFile: string;
  /** Runs a command line; `--state` and the reader are added. */
  run(...args: string[]): Promise<Ran>;
  /** Runs with the published test keys and `--json`. */
  json(...args: string[]): Promise<Ran>;
  /** The card's next presentation follows this plan. */
  plan(faults: FaultPlan): void;
  /** Writes a file with a mode and gives its path. */
  file(name: string, content: string | Uint8Array, mode?: number): string;
  /** The card's memory, to see that nothing changed. */
  memory(): string;
}

/** Folder of the CAP files of others. */
export const CAPS = new URL("../vectors/data/caps/", import.meta.url).pathname;

const READER = "Reader 1";

/** Makes a bench; options are those of the card. */
export async function bench(options: CardOptions = {}): Promise<Bench> {
  const folder = await Deno.makeTempDir({ prefix: "rk-card-tool-" });
  const stateFile = `${folder}/card`;
  (await VirtualCard.open({ ...options, stateFile })).close();
  let faults: FaultPlan = [];
  const run = async (...args: string[]): Promise<Ran> => {
    const readers = inProcessReaders([READER]);
    const card = await VirtualCard.open({ stateFile });
    readers.insert(READER, card, { faultPlan: faults });
    faults = [];
    try {
      return await runOn(readers, folder, args);
    } finally {
      card.close();
    }
  };
  return {
    folder,
    stateFile,
    run,
    json: (...args) => run(...args, "--test-keys", "--json"),
    plan: (what) => faults = what,
    file(name, content, mode = 0o600) {
      const path = `${folder}/${name}`;
      Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
      Deno.chmodSync(path, mode);
      return path;
    },
    memory: () => Deno.readTextFileSync(stateFile),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Runs the tool on readers. */
export async function runOn(readers: ReaderService, folder: string, args: readonly string[]): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await main([...args, "--state", `${folder}/state`, "--reader", READER], {
    write: (line) => out.push(line),
    complain: (line) => err.push(line),
    readers,
  });
  const json = (args.includes("--json") ? JSON.parse(out.at(-1) ?? "null") : undefined) as Report;
  return { code, out: out.join("\n"), err: err.join("\n"), json };
}

/** Readers with one card that is a function. */
export function scriptedReaders(answer: (command: Uint8Array) => Uint8Array): ReaderService {
  const channel: CardChannel = {
    atr: Uint8Array.of(0x3b, 0x00),
    transmit: (command) => Promise.resolve(answer(command)),
    reset: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  return {
    readers: () => Promise.resolve([READER]),
    watch: async function* () {},
    connect: () => Promise.resolve(channel),
    close: () => Promise.resolve(),
  };
}
