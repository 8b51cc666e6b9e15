/**
 * The crash suite: processes of Recover die at every commit of a backup, a restore and a deletion. Afterwards it is complete at all
 * three providers or absent at all, and complete after one retry. `rk test --only crash`.
 */

import { COMMIT_SIDES } from "../machinery/commit_proxy.ts";
import { type CommitPoint, Crasher, type CrashPoint, nameOf } from "../machinery/recover_crash.ts";
import { RecoverFlows } from "../machinery/recover_flows.ts";
import { CRASH_VICTIMS, type CrashVictim, openRecoverSpine } from "../machinery/recover_spine.ts";
import { Chance } from "../machinery/seed.ts";

/** What was tried and what became of it. */
export interface CrashResult {
  /** Kills: commits of the recorded flows, before and after each, of each process. */
  readonly points: number;
  /** Complete once everything ran again, nobody having repeated anything. */
  readonly complete: number;
  readonly absent: number;
  /** At some providers and not at others. */
  readonly half: number;
  /** Backups or seeds that are not what they were. */
  readonly lost: number;
  readonly completeAfterRetry: number;
  /** Commits of the recorded flows. */
  readonly commits: number;
  /** Points of each victim. */
  readonly victims: Readonly<Record<string, number>>;
  readonly seed: string;
  readonly seconds: number;
  readonly faults: readonly string[];
}

/** How much to try. */
export interface CrashOptions {
  readonly seed: string;
  /** Most points, drawn by the seed; all when absent. */
  readonly sample?: number;
  readonly tell?: (line: string) => void;
}

/** Points between two lines of progress. */
const TOLD_EVERY = 20;

/** Runs the suite. */
export async function runCrash({ seed, sample, tell = () => {} }: CrashOptions): Promise<CrashResult> {
  const begun = performance.now();
  const chance = new Chance(seed, "crash");
  await using recover = await openRecoverSpine();
  const crasher = new Crasher(recover, await RecoverFlows.open(recover), chance);
  const commits = await crasher.record();
  const all = chance.shuffled(commits.flatMap((commit) => pointsOf(commit, chance)));
  const points = sample === undefined ? all : all.slice(0, sample);
  tell(
    `${commits.length} commits in the recorded flows: ${points.length} of ${all.length} kills, seed ${seed}`,
  );
  const counts = { complete: 0, absent: 0, half: 0, lost: 0, completeAfterRetry: 0 };
  const victims: Record<string, number> = {};
  const faults: string[] = [];
  for (const [i, point] of points.entries()) {
    const outcome = await crasher.strike(point);
    counts[outcome.left]++;
    if (outcome.isLost) counts.lost++;
    if (outcome.isCompleteAfterRetry) counts.completeAfterRetry++;
    victims[point.victim] = (victims[point.victim] ?? 0) + 1;
    faults.push(...outcome.faults.map((fault) => `${nameOf(point)}: ${fault}`));
    if ((i + 1) % TOLD_EVERY === 0) {
      const seconds = Math.round((performance.now() - begun) / 1000);
      tell(
        `${
          i + 1
        } of ${points.length} points in ${seconds} s: ${counts.complete} complete, ${counts.absent} absent`,
      );
    }
  }
  return {
    points: points.length,
    ...counts,
    commits: commits.length,
    victims,
    seed,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    faults,
  };
}

/** Who dies at a commit: the process that commits and its vault on both sides; of the others one by chance, on one side. */
function pointsOf(commit: CommitPoint, chance: Chance): CrashPoint[] {
  const own: readonly CrashVictim[] = commit.service === "orchestrator" ? ["process"] : ["process", "vault"];
  const others = CRASH_VICTIMS.filter((victim) => victim !== "process" && victim !== "vault");
  // One companion of six dies along with the service.
  const point = (victim: CrashVictim, side: CrashPoint["side"]): CrashPoint => ({
    ...commit,
    victim,
    side,
    isCompanionGone: chance.below(6) === 0,
  });
  return [
    ...own.flatMap((victim) => COMMIT_SIDES.map((side) => point(victim, side))),
    point(chance.pick(others), chance.pick(COMMIT_SIDES)),
  ];
}
