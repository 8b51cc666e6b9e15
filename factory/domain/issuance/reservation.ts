/** May a chip have a serial? The same chip in the same batch gets the same one. */

import { CARD_FLOW } from "./card_flow.ts";
import { batchIsOpen } from "./batch.ts";
import type { ChipIdentity } from "./chip.ts";
import type {
  BatchRecord,
  ReservationRecord,
  ReservationState,
} from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** What is known when a chip asks for a serial. */
export interface ReserveRecord {
  readonly batch: BatchRecord | undefined;
  /** The last reservation of this chip in this batch. */
  readonly mine: ReservationRecord | undefined;
  /** States of this chip's reservations in other batches. */
  readonly elsewhere: readonly ReservationState[];
}

/** Outcome of `mayReserve`. */
export type ReserveDecision =
  | { readonly kind: "accept"; readonly batch: BatchRecord; readonly serial: number }
  | {
    readonly kind: "again";
    readonly batch: BatchRecord;
    readonly reservation: ReservationRecord;
    readonly state: ReservationState;
  }
  | Refusal;

/**
 * Decides on a reservation. A reservation that moves to another station stays the same reservation; each
 * time a new DGI 8137 key is drawn, so the station that had it before can attest nothing with the old one.
 */
export function mayReserve(record: ReserveRecord, chip: ChipIdentity): ReserveDecision {
  const open = batchIsOpen(record.batch);
  if (open.kind === "refuse") return open;
  const { batch } = open;
  if (chip.distinct && record.elsewhere.some((state) => state === "good" || state === "attested")) {
    return refuse("ATTEST_CHIP_ELSEWHERE");
  }
  if (record.mine !== undefined) {
    const state = CARD_FLOW.next(record.mine.state, "reserve-again");
    if (state !== undefined) return { kind: "again", batch, reservation: record.mine, state };
    if (chip.distinct) return refuse("ATTEST_CHIP_CLOSED");
  }
  if (batch.nextSerial > batch.lastSerial) return refuse("ATTEST_QUOTA_EXHAUSTED");
  return { kind: "accept", batch, serial: batch.nextSerial };
}
