/**
 * The demo: the whole spine comes up, blank virtual cards become attested Recovery Keys, one gateway is stopped half-way,
 * and every card is checked as a wallet would check it. Meanwhile Recover's services start; then a seed goes to three providers
 * and comes back, and one of the cards is updated.
 */

import { createLogger } from "shared/base/log.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { StationEvent } from "factory/service/station/events.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { genuineCheckSpec } from "../commands/wallet.ts";
import { writePrivate } from "../paths.ts";
import { runCollected } from "../process/foreground.ts";
import { createBatch } from "../spine/batch.ts";
import { blankCards } from "../spine/card_maker.ts";
import { type Spine, startSpine } from "../spine/spine.ts";
import { startFeeder } from "./feeder.ts";
import { type DemoLog, verifyLogs } from "./logs.ts";
import { type LineCard, runLine } from "./line.ts";
import { demoProfile } from "./profile.ts";
import { type DemoRecover, runRecover } from "./recover.ts";
import { type DemoUpdate, runUpdate } from "./update.ts";
import { pcscReaders, type Readers, virtualReaders } from "./readers.ts";

/** What to show. */
export interface DemoOptions {
  readonly folder: string;
  readonly cards: number;
  readonly readers: number;
  readonly real: boolean;
  /** The spine goes on running; a real one for as long as `inspect` takes, since its daemons end with this command. */
  readonly keep: boolean;
  readonly tell: (line: string) => void;
  readonly onEvent: (event: StationEvent) => void;
  /** The line has ended and the wallet begins. */
  readonly onLineEnd: () => void;
  /** Told line by line what happens to the seed. */
  readonly onRecover: (line: string) => void;
  /** Told line by line what happens to the card that is updated. */
  readonly onUpdate: (line: string) => void;
  /** A look at everything before it is stopped. */
  readonly inspect?: (spine: Spine, cards: readonly LineCard[], readers: Readers) => Promise<void>;
}

/** One card of the demo. */
export interface DemoCard {
  readonly serial: string;
  readonly outcome: string;
  readonly apdus: number;
  readonly milliseconds: number;
  /** SHA-256 of the certificate, hex. */
  readonly certificate: string;
  /** What the wallet found: `genuine`, or an error code. */
  readonly wallet: string;
}

/** What the demo showed. */
export interface DemoResult {
  readonly spine: Spine["descriptor"];
  readonly cards: readonly DemoCard[];
  readonly attested: number;
  readonly failed: number;
  readonly gatewayFailovers: number;
  readonly logs: readonly DemoLog[];
  readonly recover: DemoRecover;
  readonly update: DemoUpdate;
}

/** Runs the demo. Whatever it started is stopped, unless it is kept. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { folder, tell } = options;
  const spine = await startSpine({
    folder,
    real: options.real,
    recover: true,
    update: true,
    brief: !options.keep,
    outlives: options.keep && !options.real,
    tell,
  });
  let readers: Readers | undefined;
  let kept = false;
  // While the cards are made: nobody waits for it before they are.
  const recovering = spine.startRecover();
  recovering.catch(() => {});
  const updating = recovering.then(() => spine.startUpdate());
  updating.catch(() => {});
  try {
    readers = options.real ? await pcscReaders(options.readers) : virtualReaders(options.readers);
    const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
    const batch = await createBatch(spine.descriptor.batchManagerFile, profile, options.cards);
    const batchFile = `${folder}/batch.json`;
    await writePrivate(batchFile, encodeBatchFile(batch));
    tell(
      `batch ${batch.batch}: ${batch.quantity} cards, serials ${batch.firstSerial} to ${batch.lastSerial}`,
    );
    const cards = await blankCards(
      spine.token.hsm,
      SYSTEM_RANDOM,
      `${folder}/cards`,
      batch.batch,
      options.cards,
    );
    let stopped = false;
    const line = await runLine({
      spine: spine.descriptor,
      batchFile,
      ...readers,
      cards,
      onEvent: options.onEvent,
      onFinished: async (finished) => {
        if (stopped || finished < options.cards / 2) return;
        stopped = true;
        await spine.children.get("gateway-a")!.stop();
      },
    });
    options.onLineEnd();
    if (options.keep) await spine.restart("gateway-a");
    const verdicts = await walletChecks(folder, readers, line.cards);
    const table = line.cards.map(({ report }, i): DemoCard => ({
      serial: report.serial ?? "-",
      outcome: report.outcome,
      apdus: report.apdus,
      milliseconds: Math.round(report.milliseconds),
      certificate: report.certificateSha256 ?? "-",
      wallet: verdicts[i]!,
    })).sort((a, b) => a.serial < b.serial ? -1 : 1);
    const services = await recovering;
    const recover = await runRecover(spine, services, options.onRecover);
    await updating;
    const update = await runUpdate(spine, readers, line.cards.at(-1)!, options.onUpdate);
    const attested = table.filter((card) => card.outcome === "attested" && card.wallet === "genuine").length;
    const logs = await verifyLogs(folder, services);
    if (options.keep) await spine.publish();
    await options.inspect?.(spine, line.cards, readers);
    if (options.keep && !options.real) {
      await spine.release();
      kept = true;
    }
    return {
      spine: spine.descriptor,
      cards: table,
      attested,
      failed: table.length - attested,
      gatewayFailovers: line.failovers,
      logs,
      recover,
      update,
    };
  } finally {
    await readers?.stop();
    if (!kept) await spine.stop();
  }
}

/** How often a card that does not answer is laid down. */
const PRESENTATIONS_MAX = 4;

/** Puts each card on a reader again and has a wallet prove it, one at a time on each reader. */
async function walletChecks(folder: string, readers: Readers, cards: readonly LineCard[]): Promise<string[]> {
  const verdicts = new Array<string>(cards.length).fill("unchecked");
  const feeder = await startFeeder({
    cards: `${folder}/cards`,
    slots: readers.readers.map(({ address }) => address),
    awayMs: readers.awayMs,
    logFile: `${folder}/logs/cards.log`,
  });
  const queue = cards.map((card, i) => ({ card, i }));
  const checkOn = async (slot: number) => {
    const reader = readers.readers[slot]!;
    for (let next = queue.shift(); next; next = queue.shift()) {
      const spec = genuineCheckSpec({
        reader: reader.name,
        trust: `${folder}/station/wallet-trust.json`,
        json: true,
        ...(readers.virtual ? { virtualReaders: reader.address } : {}),
      });
      // A card that does not answer is laid down again, as a person would do it.
      for (let left = PRESENTATIONS_MAX; left > 0; left--) {
        // A virtual reader exists while the wallet runs, so the card attaches to it then; pcscd's are there before.
        const inserted = feeder.insert(slot, next.card.stateFile);
        if (!readers.virtual) await inserted;
        const { output, errors } = await runCollected({ ...spec, env: { ...spec.env, ...readers.env } });
        verdicts[next.i] = verdictOf(output, errors);
        await inserted;
        await feeder.remove(slot);
        if (verdicts[next.i] !== "CARD_NO_ANSWER") break;
      }
    }
  };
  try {
    await Promise.all(readers.readers.map((_, slot) => checkOn(slot)));
  } finally {
    await feeder.stop();
  }
  return verdicts;
}

function verdictOf(output: string, errors: string): string {
  try {
    const answer = JSON.parse(output.trim().split("\n").at(-1) ?? "") as {
      genuine?: boolean;
      error?: { code: string };
      code?: string;
    };
    return answer.genuine ? "genuine" : answer.error?.code ?? answer.code ?? "refused";
  } catch {
    createLogger("demo").error("wallet", { errors });
    return "failed";
  }
}
