/** The demo's last part: a card with a seed on it is updated from its wallet, and pulled off the reader in the middle. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { walletSpec } from "../commands/wallet.ts";
import { walletUpdateSpec } from "../commands/wallet_update.ts";
import type { ChildSpec } from "../process/child.ts";
import type { Spine } from "../spine/spine.ts";
import { WALLET_UPDATE_FILE } from "../spine/update/layout.ts";
import { type Line, type LinesRun, runJsonLines } from "./json_lines.ts";
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

/** A wallet at a reader, run by a program: its processes one after the other, a card that is laid down and pulled. */
export interface WalletDesk extends AsyncDisposable {
  /** Makes the wallet, with a seed of its own. */
  setup(): Promise<void>;
  /** The wallet's seed to the card. */
  backup(card: string): Promise<void>;
  /** Whether the card holds the wallet's seed, and its version. */
  identify(card: string): Promise<{ readonly matches: unknown; readonly version: unknown }>;
  /** `rk wallet update`. @param onLine told each line, with hands. */
  update(card: string, onLine: (line: Line, hands: WalletHands) => void): Promise<LinesRun>;
}

/** What can be done while the wallet works. */
export interface WalletHands {
  /** Takes the card off and lays it down again. */
  pull(): void;
  /** SIGKILL to the wallet. */
  kill(): void;
}

/** Opens a desk at the first reader. */
export async function openWalletDesk(spine: Spine, readers: Readers): Promise<WalletDesk> {
  const { folder } = spine.descriptor;
  const reader = readers.readers[0]!;
  const wallet = `${folder}/wallet`;
  const common = {
    reader: reader.name,
    trust: `${folder}/station/wallet-trust.json`,
    json: true,
    secretsFd: "0",
    ...(readers.virtual ? { virtualReaders: reader.address } : {}),
  };
  const keeper = { ...common, state: `${wallet}/demo.json` };
  await Deno.mkdir(`${wallet}/updates`, { recursive: true, mode: 0o700 });
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: [reader.address],
    awayMs: readers.awayMs,
    logFile: `${folder}/logs/cards.log`,
  });
  let moving: Promise<unknown> = Promise.resolve();
  const move = (work: () => Promise<unknown>) => moving = moving.then(work);
  const withCard = async (
    card: string,
    spec: Omit<ChildSpec, "logFile">,
    onLine: (line: Line, hands: WalletHands) => void = () => {},
  ) => {
    // A virtual reader exists while the wallet runs: the card attaches then.
    let attached = true;
    move(() =>
      feeder.insert(0, card).catch(() => {
        attached = false;
      })
    );
    const pull = () => {
      move(() => feeder.remove(0));
      move(() => feeder.insert(0, card));
    };
    const run = await runJsonLines(
      { ...spec, env: { ...spec.env, ...readers.env } },
      (line, { kill }) => onLine(line, { pull, kill }),
      JSON.stringify(PINS),
    );
    await moving;
    if (attached) await feeder.remove(0);
    return run;
  };
  const good = ({ code, last, errors }: LinesRun): Line => {
    if (code === 0) return last;
    throw new CodedError("DEMO_UPDATE", `Cannot show the update: the wallet ended with ${code}: ${errors}`);
  };
  return {
    setup: async () => {
      good(
        await runJsonLines(walletSpec("setup", { ...keeper, words: "24" }), () => {}, JSON.stringify(PINS)),
      );
    },
    backup: async (card) => {
      good(await withCard(card, walletSpec("backup", { ...keeper, name: "Demo" })));
    },
    async identify(card) {
      const found = good(await withCard(card, walletSpec("identify", { ...keeper, compare: true })));
      return { matches: found.matches, version: (found.card as Line | null)?.version };
    },
    update: (card, onLine) =>
      withCard(
        card,
        walletUpdateSpec({
          ...common,
          config: `${folder}/${WALLET_UPDATE_FILE}`,
          folder: `${wallet}/updates`,
        }),
        onLine,
      ),
    async [Symbol.asyncDispose]() {
      await moving.catch(() => {});
      await feeder.stop();
    },
  };
}

/** Whether a line says that the package is being loaded, and far enough to be interrupted. */
export function isLoading({ event, stage, percent }: Line): boolean {
  return event === "progress" && stage === "loading" && Number(percent) >= PULL_AT_PERCENT;
}

/** Updates one attested card. @param tell what happens, line by line. */
export async function runUpdate(
  spine: Spine,
  readers: Readers,
  { stateFile, report }: LineCard,
  tell: (line: string) => void,
): Promise<DemoUpdate> {
  await using desk = await openWalletDesk(spine, readers);
  await desk.setup();
  await desk.backup(stateFile);
  tell(`card ${report.serial} has a seed; its update begins`);
  let pulled = false;
  const { code, last, errors } = await desk.update(stateFile, (line, hands) => {
    if (pulled || !isLoading(line)) return;
    pulled = true;
    tell(`at ${line.percent} % the card is pulled off the reader, and laid back`);
    hands.pull();
  });
  if (code !== 0) throw new CodedError("DEMO_UPDATE", `Cannot show the update: ${errors}`);
  const { matches } = await desk.identify(stateFile);
  const result = {
    from: String(last.from),
    to: String(last.to),
    seedKept: last.seedKept === true && matches === true,
    presentations: Number(last.presentations),
  };
  if (!pulled || result.presentations < 2) {
    throw new CodedError("DEMO_UPDATE", "Cannot show the update: the card was not pulled in its middle");
  }
  tell(`from ${result.from} to ${result.to}, ${result.seedKept ? "seed kept" : "SEED NOT PROVEN"}`);
  return result;
}

defineErrors({
  DEMO_UPDATE: {
    fault: "service",
    retry: true,
    next: "The logs in the spine's folder tell more: logs/update.log, logs/update-vault.log.",
  },
});
