/** May a batch be closed? Every serial that a card was given is named good, scrapped or missing, or nothing is closed. */

import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import { BATCH_FLOW } from "./batch_flow.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Cards that one closing may declare missing: their records are signed within its transaction. */
export const MISSING_MAX = 1000;

/** Which cards in flight are declared missing; serials as numbers. */
export type DeclaredMissing = "none" | "all" | readonly number[];

/** What is known when a batch is to be closed. */
export interface ClosingRecord {
  readonly batch: BatchRecord | undefined;
  /** Cards that have not ended. */
  readonly inFlight: number;
  /** Of the serials that were named as missing, how many are in flight. */
  readonly namedInFlight: number;
}

/** Outcome of `mayCloseBatch`. `wait`: cards in flight are not accounted for. */
export type ClosingDecision =
  | { readonly kind: "accept"; readonly batch: BatchRecord }
  | { readonly kind: "repeat"; readonly batch: BatchRecord }
  | { readonly kind: "wait"; readonly batch: BatchRecord }
  | Refusal;

/** Decides on closing a batch. */
export function mayCloseBatch(
  { batch, inFlight, namedInFlight }: ClosingRecord,
  missing: DeclaredMissing,
  reason: string | null,
): ClosingDecision {
  if (batch === undefined) return refuse("ATTEST_BATCH_UNKNOWN");
  if (BATCH_FLOW.next(batch.state, "close") === undefined) return { kind: "repeat", batch };
  if (missing !== "none" && reason === null) return refuse("ATTEST_BATCH_REASON");
  if (typeof missing !== "string" && namedInFlight !== new Set(missing).size) {
    return refuse("ATTEST_BATCH_SERIALS");
  }
  const declared = missing === "all" ? inFlight : missing === "none" ? 0 : namedInFlight;
  if (declared < inFlight) return { kind: "wait", batch };
  if (declared > MISSING_MAX) return refuse("ATTEST_BATCH_MANY_MISSING");
  return { kind: "accept", batch };
}
