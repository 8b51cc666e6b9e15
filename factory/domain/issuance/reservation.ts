/** May a chip have a serial? The same chip in the same batch gets the same one. */

import { CARD_FLOW } from "./card_flow.ts";
import { batchIsOpen } from "./batch.ts";
import type { ChipIdentity } from "./chip.ts";
import type {
  BatchRecord,
  BatchStationRecord,
  ReservationRecord,
  ReservationState,
} from "../../transport/issuance_store/records.ts";
import type { ChipView } from "../../transport/issuance_store/transaction_rows.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** States in which a chip has a certificate that counts. */
const CERTIFIED: readonly ReservationState[] = ["attested", "installed", "good"];

/** What is known when a chip asks for a serial. */
export interface ReserveRecord {
  readonly batch: BatchRecord | undefined;
  /** The last reservation of this chip in this batch. */
  readonly mine: ReservationRecord | undefined;
  /** What is known of the chip beyond this batch. */
  readonly chip: ChipView;
  /** Who may work on the batch; empty when every station may. */
  readonly stations: readonly BatchStationRecord[];
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
 * time a new DGI 8137 key is drawn, so the station that had it before can attest nothing with the old one. It is
 * taken from no quota again: that of a station counts the serials that it took first.
 */
export function mayReserve(record: ReserveRecord, chip: ChipIdentity, station: string): ReserveDecision {
  const open = batchIsOpen(record.batch);
  if (open.kind === "refuse") return open;
  const { batch } = open;
  const own = record.stations.find((one) => one.station === station);
  if (record.stations.length > 0 && own === undefined) return refuse("ATTEST_STATION_NOT_IN_BATCH");
  if (chip.distinct) {
    if (record.chip.twin) return refuse("ATTEST_CHIP_TWIN");
    const { elsewhere } = record.chip;
    if (elsewhere.includes("missing")) return refuse("ATTEST_CHIP_MISSING");
    if (elsewhere.some((state) => CERTIFIED.includes(state))) return refuse("ATTEST_CHIP_ELSEWHERE");
    if (record.mine?.state === "missing") return refuse("ATTEST_CHIP_MISSING");
  }
  if (record.mine !== undefined) {
    const state = CARD_FLOW.next(record.mine.state, "reserve-again");
    if (state !== undefined) {
      return { kind: "again", batch, reservation: record.mine, state };
    }
    if (chip.distinct) return refuse("ATTEST_CHIP_CLOSED");
  }
  if (batch.nextSerial > batch.lastSerial) return refuse("ATTEST_QUOTA_EXHAUSTED");
  if (own !== undefined && own.quota !== null && own.reserved >= own.quota) {
    return refuse("ATTEST_STATION_QUOTA_EXHAUSTED");
  }
  return { kind: "accept", batch, serial: batch.nextSerial };
}
