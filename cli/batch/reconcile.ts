/** `rk batch reconcile`: the service's records beside what the line has. */

import type { BatchReportAnswer } from "shared/protocol/wire/batch.ts";
import type { BatchManagerClient } from "factory/service/batch_manager/client.ts";
import {
  type CountedCard,
  type Difference,
  type JournalFact,
  reconcile,
  type ServiceCard,
} from "factory/domain/reconciliation/reconcile.ts";
import { countedSerials } from "factory/domain/reconciliation/counted_list.ts";
import { readJournal } from "factory/transport/journal/reading.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";

/** What the line has; paths are absolute. */
export interface LineFacts {
  readonly journals: readonly string[];
  /** The journals are those of every station. */
  readonly allJournals: boolean;
  /** Lists of counted serials. */
  readonly good: readonly string[];
  readonly scrapped: readonly string[];
}

/** What was compared, and every difference. */
export interface ReconcileResult {
  readonly report: BatchReportAnswer;
  readonly compared: { readonly cards: number; readonly journalEntries: number; readonly counted: number };
  readonly differences: readonly Difference[];
}

/** Compares. @throws {CodedError} those of the client, of journals and lists, `RECONCILE_NOTHING`. */
export async function reconcileBatch(
  client: BatchManagerClient,
  batch: string,
  line: LineFacts,
): Promise<ReconcileResult> {
  if (line.journals.length + line.good.length + line.scrapped.length === 0) {
    throw new CodedError(
      "RECONCILE_NOTHING",
      "Cannot reconcile: neither a journal nor a counted list is given",
    );
  }
  const journals: JournalFact[] = line.journals.flatMap((path) =>
    readJournal(path).filter((entry) => entry.batch === batch).map(({ batch: _, ...entry }) => ({
      ...entry,
      journal: path.slice(path.lastIndexOf("/") + 1),
    }))
  );
  const counted: CountedCard[] = [
    ...await listed("good", line.good),
    ...await listed("scrapped", line.scrapped),
  ];
  const service: ServiceCard[] = [];
  for await (const { serial, state, station, certificateSha256 } of client.cards(batch)) {
    service.push({ serial, state, station, certificateSha256 });
  }
  const differences = reconcile({
    service,
    journals,
    journalsComplete: line.allJournals,
    counted,
    places: [
      ...(line.good.length > 0 ? ["good"] as const : []),
      ...(line.scrapped.length > 0 ? ["scrapped"] as const : []),
    ],
  });
  const compared = { cards: service.length, journalEntries: journals.length, counted: counted.length };
  return { report: await client.report(batch), compared, differences };
}

async function listed(place: CountedCard["place"], paths: readonly string[]): Promise<CountedCard[]> {
  const cards: CountedCard[] = [];
  for (const path of paths) {
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      throw new CodedError("COUNTED_LIST", `Cannot read ${path}: ${(error as Error).name}`);
    }
    for (const serial of countedSerials(path, text)) cards.push({ place, serial });
  }
  return cards;
}

defineErrors({
  RECONCILE_NOTHING: {
    fault: "usage",
    retry: false,
    next:
      "Give --journal FILE of each station, --good FILE and --scrap FILE of what was counted, or some of them.",
  },
});
