/** May a batch be created, and is a batch open? Serials: 4 bytes, a range for each batch, never used twice. */

import type { BatchFacts, BatchRecord } from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Card serials that this factory may give out, both ends included. */
export interface SerialRange {
  readonly first: number;
  readonly last: number;
}

/** Outcome of `mayCreateBatch`: a new range, or the batch that the same request made before. */
export type CreateBatchDecision =
  | { readonly kind: "accept"; readonly firstSerial: number; readonly lastSerial: number }
  | { readonly kind: "repeat"; readonly batch: BatchRecord }
  | Refusal;

/**
 * Decides on a new batch.
 * @param existing The batch of this name, if there is one.
 * @param nextSerial First serial that no batch has.
 * @param range The factory's own range.
 */
export function mayCreateBatch(
  existing: BatchRecord | undefined,
  nextSerial: number,
  range: SerialRange,
  facts: BatchFacts,
): CreateBatchDecision {
  if (existing !== undefined) {
    const same = (Object.keys(facts) as (keyof BatchFacts)[]).every((key) => existing[key] === facts[key]);
    return same ? { kind: "repeat", batch: existing } : refuse("ATTEST_BATCH_EXISTS");
  }
  const firstSerial = Math.max(nextSerial, range.first);
  const lastSerial = firstSerial + facts.quantity - 1;
  if (lastSerial > range.last) return refuse("ATTEST_SERIALS_EXHAUSTED");
  return { kind: "accept", firstSerial, lastSerial };
}

/** Outcome of `batchIsOpen`. */
export type OpenBatchDecision = { readonly kind: "accept"; readonly batch: BatchRecord } | Refusal;

/** Whether work on cards of a batch may go on. */
export function batchIsOpen(batch: BatchRecord | undefined): OpenBatchDecision {
  if (batch === undefined) return refuse("ATTEST_BATCH_UNKNOWN");
  if (batch.closed) return refuse("ATTEST_BATCH_CLOSED");
  if (batch.state === "held") return refuse("ATTEST_BATCH_HELD");
  return { kind: "accept", batch };
}
