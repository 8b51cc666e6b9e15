/** May a batch be closed? Every serial that a card was given is named good, scrapped or missing, or nothing is closed. */

import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import { BATCH_FLOW } from "./batch_flow.ts";
import { type Refusal, refuse } from "./refusals.ts";

/**
 * Cards that the closing transaction itself declares missing at most: their records are signed while the batch is locked.
 * More are declared before, in transactions of their own, with the batch held.
 */
export const MISSING_WITH_CLOSING = 100;

/** Which cards in flight are declared missing; serials as numbers. */
export type DeclaredMissing = "none" | "all" | readonly number[];

/** What is known when a batch is to be closed. */
export interface ClosingRecord {
  readonly batch: BatchRecord | undefined;
  /** Cards that have not ended. */
  readonly inFlight: number;
  /** Of the serials that were named as missing, how many are in flight. */
  readonly namedInFlight: number;
  /** And how many were declared missing before: by the same request, when it was interrupted. */
  readonly namedMissing: number;
}

/** What a batch manager says when closing. */
export interface ClosingOrder {
  readonly missing: DeclaredMissing;
  /** Serials that no card was given are given up. */
  readonly giveUpUnused: boolean;
  readonly reason: string | null;
}

/**
 * Outcome of `mayCloseBatch`. `wait`: cards in flight are not accounted for; `declare`: too many cards are declared missing
 * for one transaction, so they come first.
 */
export type ClosingDecision =
  | { readonly kind: "declare"; readonly batch: BatchRecord }
  | { readonly kind: "accept"; readonly batch: BatchRecord }
  | { readonly kind: "repeat"; readonly batch: BatchRecord }
  | { readonly kind: "wait"; readonly batch: BatchRecord }
  | Refusal;

/** Decides on closing a batch. */
export function mayCloseBatch(
  { batch, inFlight, namedInFlight, namedMissing }: ClosingRecord,
  { missing, giveUpUnused, reason }: ClosingOrder,
): ClosingDecision {
  if (batch === undefined) return refuse("ATTEST_BATCH_UNKNOWN");
  if (BATCH_FLOW.next(batch.state, "close") === undefined) return { kind: "repeat", batch };
  if ((missing !== "none" || giveUpUnused) && reason === null) return refuse("ATTEST_BATCH_REASON");
  if (typeof missing !== "string" && namedInFlight + namedMissing !== new Set(missing).size) {
    return refuse("ATTEST_BATCH_SERIALS");
  }
  const declared = missing === "all" ? inFlight : missing === "none" ? 0 : namedInFlight;
  if (declared < inFlight) return { kind: "wait", batch };
  if (batch.nextSerial <= batch.lastSerial && !giveUpUnused) return refuse("ATTEST_BATCH_UNUSED");
  return { kind: declared > MISSING_WITH_CLOSING ? "declare" : "accept", batch };
}
