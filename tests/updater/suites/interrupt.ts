/** The interrupt suite: every APDU of an update, interrupted in every way. `rk test --only interrupt`. */

import { Chance } from "../../faults/machinery/seed.ts";
import {
  apdusOfUpdate,
  type Interrupt,
  interrupt,
  INTERRUPTIONS,
  SEED_LOST,
} from "../machinery/interruption.ts";
import { openScene } from "../machinery/scene.ts";

/** Result; the first seven keys are those of the commands that measure. */
export interface InterruptResult {
  /** APDUs of the recorded trace; of a sample, those that were drawn. */
  readonly points: number;
  /** Number of `kindNames`. */
  readonly kinds: number;
  /** Cards at the old version after the interruption. */
  readonly oldVersion: number;
  /** Cards at the new version after the interruption, or on their way to it and there after one retry. */
  readonly newVersion: number;
  /** Cards at neither, and that did not go on. */
  readonly neither: number;
  readonly seedLost: number;
  /** Cards at the new version after one retry. */
  readonly newAfterRetry: number;
  /** Of `newVersion`: cards that were on their way. */
  readonly onTheWay: number;
  readonly kindNames: readonly string[];
  /** APDUs of the whole update. */
  readonly apdus: number;
  readonly seed: string;
  readonly seconds: number;
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[];
}

const OLD = "1.0.0";
const NEW = "1.1.0";

/** Runs the suite. @param sample points that are drawn; every point when it is left out. */
export async function runInterrupt(
  seed: string,
  options: { readonly sample?: number; readonly tell?: (line: string) => void } = {},
): Promise<InterruptResult> {
  const begun = performance.now();
  const chance = new Chance(seed, "interrupt");
  await using scene = await openScene();
  const apdus = await apdusOfUpdate(scene);
  const template = await scene.card();
  const every = Array.from({ length: apdus }, (_, index) => index);
  const points = options.sample === undefined ? every : chance.shuffled(every).slice(0, options.sample);
  options.tell?.(`${points.length} of ${apdus} APDUs, ${INTERRUPTIONS.length} kinds, seed ${seed}`);
  const count = { oldVersion: 0, newVersion: 0, neither: 0, seedLost: 0, newAfterRetry: 0, onTheWay: 0 };
  const faults: string[] = [];
  const all: Interrupt[] = chance.shuffled(
    points.flatMap((index) => INTERRUPTIONS.map((kind) => ({ kind, index }))),
  );
  for (const at of all) {
    const card = await interrupt(scene, template, at);
    if (card.between === OLD) count.oldVersion++;
    else if (card.between === NEW || card.after === NEW) count.newVersion++;
    else count.neither++;
    if (card.between === null && card.after === NEW) count.onTheWay++;
    if (card.after === NEW) count.newAfterRetry++;
    if (card.faults.includes(SEED_LOST)) count.seedLost++;
    for (const fault of card.faults) faults.push(`${at.kind} at ${at.index}: ${fault}`);
  }
  return {
    points: points.length,
    kinds: INTERRUPTIONS.length,
    ...count,
    kindNames: INTERRUPTIONS,
    apdus,
    seed,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    faults,
  };
}
