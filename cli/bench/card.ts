/**
 * `rk bench card`: list, install and delete on one virtual card over a private pcscd, by this tool and by those of others on this
 * machine. APDUs are counted by the card, so that all tools are counted alike. `ms` is the wall time of the whole command,
 * start-up included, less the time inside the card.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { cardToolSpec } from "../commands/card_tool.ts";
import { STANDARD_READER } from "../commands/card.ts";
import { pcscReaders } from "../demo/readers.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { commandLine, environment } from "../process/child.ts";
import { STANDARD_FOLDER } from "../spine/layout.ts";
import { type AbsentPeer, findPeers, type Peer } from "./card_peers.ts";
import { percentile, rounded } from "./statistics.ts";

/** One operation: medians. */
export interface CardOperation {
  readonly apdus: number;
  readonly ms: number;
}

/** One tool. */
export interface CardToolBench {
  readonly list: CardOperation;
  readonly install: CardOperation;
  readonly delete: CardOperation;
}

/** The result; names are those of the commands that measure. */
export interface CardBench {
  readonly ours: CardToolBench;
  readonly peers: Readonly<
    Record<string, CardToolBench | { readonly absent: string } | { readonly failed: string }>
  >;
  readonly rounds: number;
  readonly transport: "pcsc";
}

/** What to measure. */
export interface CardBenchOptions {
  readonly folder: string;
  readonly rounds: number;
  readonly tell: (line: string) => void;
}

/** A package with one applet that a card without verifier takes. */
const CAP = `${REPOSITORY}/tests/vectors/data/caps/coims_applet.cap`;
const PACKAGE_AID_LINE = /^package +\S+, ([0-9A-F]+),/m;
/** pcscd looks for cards about twice a second. */
const SEEN_MS = 2_000;
/** The card's events arrive through a pipe; the last one may come after the command has ended. */
const SETTLE_MS = 100;

/** The card, and what it has counted. */
interface BenchCard {
  readonly counted: { apdus: number; cardMs: number };
  stop(): Promise<void>;
}

async function insertCard(address: string, folder: string): Promise<BenchCard> {
  const spec = {
    name: "card",
    module: "device/app/card_main.ts",
    permissions: "card",
    substitution: { [STANDARD_READER]: address, [`${STANDARD_FOLDER}/cards`]: folder },
    args: ["--vpcd", address, "--state", `${folder}/bench.card`],
  };
  const child = new Deno.Command(DENO, {
    args: commandLine(spec),
    cwd: REPOSITORY,
    env: environment({}),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const counted = { apdus: 0, cardMs: 0 };
  let attach = () => {};
  const attached = new Promise<void>((resolve) => attach = resolve);
  const reading = (async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const event = JSON.parse(line) as { event: string; cardMs?: number };
        if (event.event === "attached") attach();
        if (event.event !== "apdu") continue;
        counted.apdus++;
        counted.cardMs += event.cardMs ?? 0;
      }
    }
  })();
  await Promise.race([attached, child.status]);
  await pause(SEEN_MS);
  return {
    counted,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await reading;
    },
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Runs one command and measures it. @throws {CodedError} `BENCH_CARD` when it fails. */
async function measured(
  card: BenchCard,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CardOperation & { readonly output: string }> {
  const before = { ...card.counted };
  const begun = performance.now();
  const [program, ...args] = command;
  const { code, stdout, stderr } = await new Deno.Command(program!, {
    args,
    cwd: REPOSITORY,
    env: environment({ env }),
    clearEnv: true,
    stdin: "null",
  }).output();
  const wall = performance.now() - begun;
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  await pause(SETTLE_MS);
  if (code !== 0) {
    throw new CodedError(
      "BENCH_CARD",
      `Cannot measure: exit code ${code}: ${output.trim().split("\n").at(-1)}`,
    );
  }
  return {
    apdus: card.counted.apdus - before.apdus,
    ms: wall - (card.counted.cardMs - before.cardMs),
    output,
  };
}

function ours(state: string): Peer {
  const line = (words: string[], files: string[], reader: string) => [
    DENO,
    ...commandLine(cardToolSpec(words, files, { reader, testKeys: true }, state)),
  ];
  return {
    name: "ours",
    list: (reader) => line(["list"], [], reader),
    install: (reader, cap) => line(["install", cap], [cap], reader),
    remove: (reader, packageAid) => [...line(["delete", packageAid], [], reader), "--related"],
  };
}

async function measureTool(
  tool: Peer,
  card: BenchCard,
  reader: string,
  env: Readonly<Record<string, string>>,
  packageAid: string,
  rounds: number,
): Promise<CardToolBench> {
  const samples: Record<"list" | "install" | "delete", CardOperation[]> = {
    list: [],
    install: [],
    delete: [],
  };
  // The first round pays for caches of compilers and is not counted.
  for (let round = 0; round <= rounds; round++) {
    const list = await measured(card, tool.list(reader), env);
    const install = await measured(card, tool.install(reader, CAP), env);
    const remove = await measured(card, tool.remove(reader, packageAid), env);
    if (round === 0) continue;
    samples.list.push(list);
    samples.install.push(install);
    samples.delete.push(remove);
  }
  const median = (operations: readonly CardOperation[]): CardOperation => ({
    apdus: percentile(operations.map(({ apdus }) => apdus), 50),
    ms: rounded(percentile(operations.map(({ ms }) => ms), 50)),
  });
  return { list: median(samples.list), install: median(samples.install), delete: median(samples.delete) };
}

/** Runs the benchmark. */
export async function benchCard({ folder, rounds, tell }: CardBenchOptions): Promise<CardBench> {
  const readers = await pcscReaders(1);
  try {
    const { name: reader, address } = readers.readers[0]!;
    const card = await insertCard(address, folder);
    try {
      const state = `${folder}/card-tool`;
      await Deno.mkdir(state);
      const tool = ours(state);
      tell(`ours, ${rounds} rounds`);
      const shown = await measured(card, [...tool.install(reader, CAP), "--dry-run"], readers.env);
      const packageAid = PACKAGE_AID_LINE.exec(shown.output)?.[1];
      if (packageAid === undefined) {
        throw new CodedError("BENCH_CARD", "Cannot measure: the package has no AID");
      }
      const own = await measureTool(tool, card, reader, readers.env, packageAid, rounds);
      const peers: Record<string, CardToolBench | { absent: string } | { failed: string }> = {};
      for (const peer of await findPeers()) {
        peers[peer.name] = await measurePeer(peer, card, reader, readers.env, packageAid, rounds, tell);
      }
      return { ours: own, peers, rounds, transport: "pcsc" };
    } finally {
      await card.stop();
    }
  } finally {
    await readers.stop();
  }
}

async function measurePeer(
  peer: Peer | AbsentPeer,
  card: BenchCard,
  reader: string,
  env: Readonly<Record<string, string>>,
  packageAid: string,
  rounds: number,
  tell: (line: string) => void,
): Promise<CardToolBench | { absent: string } | { failed: string }> {
  if ("absent" in peer) {
    tell(`${peer.name}: ${peer.absent}`);
    return { absent: peer.absent };
  }
  tell(`${peer.name}, ${rounds} rounds`);
  try {
    return await measureTool(peer, card, reader, env, packageAid, rounds);
  } catch (error) {
    // Another tool's failure is a result of the comparison, not of ours.
    if (!(error instanceof CodedError)) throw error;
    tell(`${peer.name}: ${error.message}`);
    return { failed: error.message };
  }
}

defineErrors({
  BENCH_CARD: { fault: "bug", retry: false, next: "Run the command that the message names by hand." },
});
