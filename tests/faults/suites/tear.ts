/** The tear suite: every APDU of a recorded run, torn in every way. `rk test --only tear`. */

import { toHex } from "shared/base/bytes.ts";
import { mayScrap } from "factory/domain/personalization/resumption.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import { directAttestation } from "../machinery/direct_attestation.ts";
import { openFactory } from "../machinery/factory.ts";
import { type LineOptions, openLine } from "../machinery/line.ts";
import { askCard, audit, readBatchRows } from "../machinery/audit.ts";
import { Chance } from "../machinery/seed.ts";
import { TEAR_KINDS } from "../machinery/tear.ts";
import { everyTear, onReaders, recordTrace, tearOnce, type TracePoint } from "../machinery/tear_run.ts";

/** Result; the first eight keys are those of the commands that measure. */
export interface TearResult {
  /** APDUs of the recorded trace. */
  readonly points: number;
  /** Number of `kindNames`. */
  readonly kinds: number;
  readonly attested: number;
  readonly scrapped: number;
  /** Steps at which cards were scrapped, each once. */
  readonly scrappedAt: readonly string[];
  readonly stuck: number;
  readonly serialsLost: number;
  readonly serialsDoubled: number;
  readonly kindNames: readonly string[];
  /** Cards that were attested in the torn presentation itself: a fact that the card may lack was lost. */
  readonly attestedAtOnce: number;
  readonly seed: string;
  readonly seconds: number;
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[];
}

/** Cards in work at once. */
const READERS = 4;

/** Runs the suite. */
export async function runTear(seed: string, tell: (line: string) => void = () => {}): Promise<TearResult> {
  const begun = performance.now();
  const chance = new Chance(seed, "tear");
  await using factory = await openFactory({ backend: "pglite and software HSM", stations: 1 });
  const { folder, service, backends, stations } = factory;
  const parts = {
    packageFolder: folder,
    attestation: directAttestation(service, stations[0]!),
    hsm: backends.hsm,
    stateFolder: `${folder}/line-1`,
  };
  const faults: string[] = [];
  const trace = await record(parts, await factory.batch("recorded", 1), faults);
  const points = trace.length;
  const runs = points * TEAR_KINDS.length;
  // As many serials as cards: one that gets lost is one that the last card lacks.
  const batch = await factory.batch("torn", runs);
  await using line = await openLine({ ...parts, batch });
  tell(`${points} APDUs, ${TEAR_KINDS.length} kinds: ${runs} cards, seed ${seed}`);

  const tears = everyTear(trace, chance);
  const cards = await onReaders(READERS, tears, (tear, reader) => tearOnce(line, reader, tear));
  const scrappedAt = new Set<string>();
  let attestedAtOnce = 0;
  for (const { tear, reports, torn } of cards) {
    const name = `${tear.kind} at ${tear.index} (${trace[tear.index]!.step})`;
    const last = reports.at(-1)!;
    if (!torn) faults.push(`${name}: the run ended before it`);
    if (last.outcome === "attested" && reports.length === 1) attestedAtOnce++;
    if (last.outcome === "scrapped") {
      scrappedAt.add(last.step ?? "");
      if (!mayScrap(last.step ?? "", last.reason ?? "", false)) {
        faults.push(
          `${name}: scrapped at ${last.step} with ${last.reason}, which docs/resumption.md does not name`,
        );
      }
    } else if (last.outcome !== "attested") {
      faults.push(`${name}: ${reports.map((r) => `${r.outcome} at ${r.step} ${r.reason}`).join(", then ")}`);
    }
  }
  // A chip whose name arrived garbled leaves nothing behind either.
  for (const { serial, state, step, reason } of line.context.journal.unfinished()) {
    faults.push(`the journal has not finished ${serial}: ${state} after ${step}, ${reason}`);
  }

  const asked = await onReaders(READERS, cards, async ({ tear, card }) => ({
    name: `${tear.kind} at ${tear.index}`,
    cplc: toHex(card.cplc),
    asked: await askCard(card, line.trust),
  }));
  const found = audit(asked, await readBatchRows(backends.database.sql, batch.batch));
  const { stuck, serialsLost, serialsDoubled, disagreements } = found;
  faults.push(...stuck, ...serialsLost, ...serialsDoubled, ...disagreements);
  return {
    points,
    kinds: TEAR_KINDS.length,
    attested: found.attested,
    scrapped: found.scrapped,
    scrappedAt: [...scrappedAt].sort(),
    stuck: stuck.length + disagreements.length,
    serialsLost: serialsLost.length,
    serialsDoubled: serialsDoubled.length,
    kindNames: TEAR_KINDS,
    attestedAtOnce,
    seed,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    faults,
  };
}

/** The trace of a card that nothing happens to. */
async function record(
  parts: Omit<LineOptions, "batch">,
  batch: BatchFile,
  faults: string[],
): Promise<TracePoint[]> {
  await using line = await openLine({ ...parts, batch });
  const { trace, report } = await recordTrace(line);
  if (report.outcome !== "attested") {
    faults.push(`the recorded run ended ${report.reason}: ${report.message}`);
  }
  return trace;
}
