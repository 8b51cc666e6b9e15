/** The demo's last part: a card with a seed on it is updated from its wallet, and pulled off the reader in the middle. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { walletSpec } from "../commands/wallet.ts";
import { walletUpdateSpec } from "../commands/wallet_update.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { type ChildSpec, commandLine, environment } from "../process/child.ts";
import type { Spine } from "../spine/spine.ts";
import { WALLET_UPDATE_FILE } from "../spine/update/layout.ts";
import type { LineCard } from "./line.ts";
import { startFeeder } from "./feeder.ts";
import type { Readers } from "./readers.ts";

/** What the update showed. */
export interface DemoUpdate {
  /** Versions of the card before and after. */
  readonly from: string;
  readonly to: string;
  /** The card proved that it holds the seed from before: to the updater, and to the wallet that has the seed. */
  readonly seedKept: boolean;
  /** Times that the card was laid on the reader. */
  readonly presentations: number;
}

const PINS = { walletPin: "1357", newWalletPin: "1357", cardPin: "24680", newCardPin: "24680" };
/** Where the card is pulled: behind so much of the update, in percent. */
const PULL_AT_PERCENT = 40;

type Line = Readonly<Record<string, unknown>>;

/** Updates one attested card. @param tell what happens, line by line. */
export async function runUpdate(
  spine: Spine,
  readers: Readers,
  card: LineCard,
  tell: (line: string) => void,
): Promise<DemoUpdate> {
  const { folder } = spine.descriptor;
  const reader = readers.readers[0]!;
  const wallet = `${folder}/wallet`;
  const common = {
    reader: reader.name,
    trust: `${folder}/station/wallet-trust.json`,
    json: true,
    ...(readers.virtual ? { virtualReaders: reader.address } : {}),
  };
  const keeper = { ...common, state: `${wallet}/demo.json`, secretsFd: "0" };
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: [reader.address],
    awayMs: readers.awayMs,
    logFile: `${folder}/logs/cards.log`,
  });
  let moving: Promise<unknown> = Promise.resolve();
  const move = (work: () => Promise<unknown>) => moving = moving.then(work);
  /** Runs one of the wallet's processes with the card on the reader. */
  const withCard = async (spec: Omit<ChildSpec, "logFile">, onLine: (line: Line) => void = () => {}) => {
    // A virtual reader exists while the wallet runs: the card attaches then.
    move(() => feeder.insert(0, card.stateFile));
    const last = await runLines({ ...spec, env: { ...spec.env, ...readers.env } }, onLine);
    move(() => feeder.remove(0));
    await moving;
    return last;
  };
  try {
    await runLines(walletSpec("setup", { ...keeper, words: "24" }), () => {});
    await withCard(walletSpec("backup", { ...keeper, name: "Demo" }));
    tell(`card ${card.report.serial} has a seed; its update begins`);
    await Deno.mkdir(`${wallet}/updates`, { recursive: true, mode: 0o700 });
    let pulled = false;
    const updated = await withCard(
      walletUpdateSpec({
        ...common,
        config: `${folder}/${WALLET_UPDATE_FILE}`,
        folder: `${wallet}/updates`,
        secretsFd: "0",
      }),
      ({ event, stage, percent }) => {
        if (pulled || event !== "progress" || stage !== "loading" || Number(percent) < PULL_AT_PERCENT) {
          return;
        }
        pulled = true;
        tell(`at ${percent} % the card is pulled off the reader, and laid back`);
        move(() => feeder.remove(0));
        move(() => feeder.insert(0, card.stateFile));
      },
    );
    const looked = await withCard(walletSpec("identify", { ...keeper, compare: true }));
    const result = {
      from: String(updated.from),
      to: String(updated.to),
      seedKept: updated.seedKept === true && looked.matches === true,
      presentations: Number(updated.presentations),
    };
    if (!pulled || result.presentations < 2) {
      throw new CodedError("DEMO_UPDATE", "Cannot show the update: the card was not pulled in its middle");
    }
    tell(`from ${result.from} to ${result.to}, ${result.seedKept ? "seed kept" : "SEED NOT PROVEN"}`);
    return result;
  } finally {
    await moving.catch(() => {});
    await feeder.stop();
  }
}

/** Runs a process that prints one JSON object a line, with the PINs on its standard input. @returns the last one. */
async function runLines(spec: Omit<ChildSpec, "logFile">, onLine: (line: Line) => void): Promise<Line> {
  const child = new Deno.Command(DENO, {
    args: commandLine(spec),
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const input = child.stdin.getWriter();
  await input.write(toUtf8(JSON.stringify(PINS)));
  await input.close();
  let last: Line = {};
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      last = JSON.parse(line) as Line;
      onLine(last);
    }
  }
  const { code } = await child.status;
  if (code === 0) return last;
  throw new CodedError(
    "DEMO_UPDATE",
    `Cannot show the update: ${spec.name} ended with ${code}: ${await errors}`,
  );
}

defineErrors({
  DEMO_UPDATE: {
    fault: "service",
    retry: true,
    next: "The logs in the spine's folder tell more: logs/update.log, logs/update-vault.log.",
  },
});
