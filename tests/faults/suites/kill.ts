/**
 * The kill suite: every process of the spine dies at every commit, the station also at every commit of its journal; then two
 * faults on one card, by chance. `rk test --only kill`.
 */

import { toHex } from "shared/base/bytes.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import type { CardReport } from "factory/service/station/events.ts";
import { askCard, audit, readBatchRows } from "../machinery/audit.ts";
import { COMMIT_SIDES } from "../machinery/commit_proxy.ts";
import { type Blow, countCommits, type Kill, strike } from "../machinery/kill_run.ts";
import type { Line } from "../machinery/line.ts";
import { Chance } from "../machinery/seed.ts";
import { openSpineLine, type SpineLine, VICTIMS } from "../machinery/spine_line.ts";
import { KillableStation, type StationKill } from "../machinery/station_kill.ts";
import { TEAR_KINDS } from "../machinery/tear.ts";
import { isFinal } from "../machinery/tear_run.ts";

/** What was tried and what became of it. */
export interface KillResult {
  /** Kills of service, database and gateways; 0 to the number of commits, sides and victims. */
  readonly kills: number;
  /** Kills of the station at its journal's commits and at the database's. */
  readonly stationKills: number;
  /** Cards that had two faults by chance. */
  readonly pairs: number;
  /** Points that there are: commits of one card in the database and in the journal. */
  readonly commits: { readonly database: number; readonly journal: number };
  /** Cards in all, the recorded ones included. */
  readonly cards: number;
  readonly attested: number;
  readonly scrapped: number;
  readonly stuck: number;
  readonly serialsLost: number;
  readonly serialsDoubled: number;
  readonly seed: string;
  readonly seconds: number;
  readonly faults: readonly string[];
}

/** How much to try. */
export interface KillOptions {
  readonly seed: string;
  /** One point of so many, by chance; 1: all. */
  readonly oneOf: number;
  /** Cards with two faults. */
  readonly pairs: number;
  readonly tell?: (line: string) => void;
}

/** APDUs within which the tear of a pair falls: those of a whole run. */
const PAIR_APDUS = 69;

interface Tried {
  readonly name: string;
  readonly card: VirtualCard;
}

/** Runs the suite. */
export async function runKill(options: KillOptions): Promise<KillResult> {
  const { seed, oneOf, pairs, tell = () => {} } = options;
  const begun = performance.now();
  const chance = new Chance(seed, "kill");
  const faults: string[] = [];
  await using spine = await openSpineLine();
  const { batch, file } = await spine.batch(BATCH);
  const cards: Tried[] = [];
  const counts = { kills: 0, stationKills: 0 };
  const commits = { database: 0, journal: 0 };
  const some = <T>(all: readonly T[]) => all.filter(() => chance.below(oneOf) === 0);
  await using line = await spine.station(batch, `${spine.folder}/hand`);
  {
    const recorded = await countCommits(spine, line);
    commits.database = recorded.commits;
    cards.push({ name: "recorded", card: recorded.card });
    const kills = some(databaseKills(recorded.commits, chance));
    tell(
      `${recorded.commits} commits a card in the database: ${kills.length} kills of ${VICTIMS.join(", ")}`,
    );
    for (const kill of kills) {
      counts.kills++;
      cards.push(await struck(spine, line, nameOf(kill), [{ kill }], faults));
    }
    for (let i = 0; i < pairs; i++) {
      const blows = pairOf(chance, recorded.commits);
      const name = blows.map((blow) => blow.map(describe).join(" and ")).join(", then ");
      cards.push(
        await struck(spine, line, name, blows.map((blow) => Object.assign({}, ...blow)), faults, false),
      );
    }
  }
  const station = new KillableStation(spine, file);
  try {
    const card = await station.blank();
    const recorded = await station.countJournalCommits(card);
    commits.journal = recorded.commits;
    cards.push({ name: "recorded at the station", card });
    const kills = some(stationKills(commits));
    tell(
      `${recorded.commits} commits a card in the journal: ${kills.length} kills of the station, seed ${seed}`,
    );
    for (const kill of kills) {
      counts.stationKills++;
      cards.push(await stationStruck(station, kill, faults));
    }
  } finally {
    await station.close();
  }

  const asked = [];
  for (const { name, card } of cards) {
    asked.push({ name, cplc: toHex(card.cplc), asked: await askCard(card, line.trust) });
  }
  const found = audit(asked, await readBatchRows(spine.database.sql, batch.batch));
  const { stuck, serialsLost, serialsDoubled, disagreements } = found;
  faults.push(...stuck, ...serialsLost, ...serialsDoubled, ...disagreements);
  if (found.attested !== cards.length) faults.push(`${found.attested} of ${cards.length} cards are attested`);
  return {
    ...counts,
    pairs,
    commits,
    cards: cards.length,
    attested: found.attested,
    scrapped: found.scrapped,
    stuck: stuck.length + disagreements.length,
    serialsLost: serialsLost.length,
    serialsDoubled: serialsDoubled.length,
    seed,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    faults,
  };
}

/** Serials of the batch; more than any run needs. */
const BATCH = 400;

function databaseKills(commits: number, chance: Chance): Kill[] {
  return VICTIMS.flatMap((victim) =>
    numbers(commits).flatMap((commit) =>
      COMMIT_SIDES.map((side): Kill => ({ victim, commit, side, supervised: chance.below(2) === 0 }))
    )
  );
}

function stationKills(commits: { readonly database: number; readonly journal: number }): StationKill[] {
  return (["journal", "database"] as const).flatMap((of) =>
    numbers(commits[of]).flatMap((commit) => COMMIT_SIDES.map((side): StationKill => ({ of, commit, side })))
  );
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function nameOf({ victim, commit, side, supervised }: Kill): string {
  return `${victim} killed ${side} commit ${commit}, started again ${supervised ? "at once" : "afterwards"}`;
}

type Fault = Pick<Blow, "tear"> | Pick<Blow, "kill">;

function describe(fault: Fault): string {
  if ("kill" in fault && fault.kill) return nameOf(fault.kill);
  return "tear" in fault && fault.tear ? `${fault.tear.kind} at ${fault.tear.index}` : "";
}

/** Two faults, in one presentation or in two. */
function pairOf(chance: Chance, commits: number): Fault[][] {
  const fault = (): Fault =>
    chance.below(2) === 0
      ? {
        tear: {
          kind: chance.pick(TEAR_KINDS),
          index: chance.below(PAIR_APDUS),
          position: chance.below(2 ** 16),
        },
      }
      : {
        kill: {
          victim: chance.pick(VICTIMS),
          commit: 1 + chance.below(commits),
          side: chance.pick(COMMIT_SIDES),
          supervised: true,
        },
      };
  return chance.below(2) === 0 ? [[fault(), fault()]] : [[fault()], [fault()]];
}

/** @param sure Whether the fault must have happened: of two, the first may end the presentation before the second. */
async function struck(
  spine: SpineLine,
  line: Line,
  name: string,
  blows: readonly Blow[],
  faults: string[],
  sure = true,
): Promise<Tried> {
  const { card, reports, happened } = await strike(spine, line, name, blows);
  if (sure && !happened) faults.push(`${name}: it did not happen`);
  if (!isComplete(reports.at(-1)!)) faults.push(`${name}: ${reports.map(words).join(", then ")}`);
  return { name, card };
}

async function stationStruck(station: KillableStation, kill: StationKill, faults: string[]): Promise<Tried> {
  const name = `station killed ${kill.side} ${kill.of} commit ${kill.commit}`;
  const card = await station.blank();
  const { report, happened } = await station.presentAndKill(card, kill);
  if (!happened) faults.push(`${name}: it did not happen`);
  if (report === undefined || !isFinal(report)) {
    const last = await station.present(card);
    if (!isComplete(last)) faults.push(`${name}: ${words(last)}`);
  }
  return { name, card };
}

/** Attested; or finished by what the restarted station told the service before the card came back. */
function isComplete({ outcome, reason }: CardReport): boolean {
  return outcome === "attested" || (outcome === "refused" && reason === "CARD_ALREADY_ATTESTED");
}

function words({ outcome, step, reason, message }: CardReport): string {
  return `${outcome} at ${step}: ${reason} ${message}`;
}
