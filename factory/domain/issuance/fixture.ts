/** Records for tests of decisions. */

import type {
  BatchRecord,
  BatchState,
  CertificateRecord,
  ReservationRecord,
  ReservationState,
  SenderRecord,
} from "../../transport/issuance_store/records.ts";

/** A station that may send. */
export const STATION: SenderRecord = { name: "line-1", role: "station", disabled: false };

/** An open batch of 50 with 40 serials left. */
export const BATCH: BatchRecord = {
  name: "batch-1",
  quantity: 50,
  profileName: "test-card",
  profileSha256: "AA".repeat(32),
  targetId: "33400004",
  targetDevice: "05",
  anonymousChips: false,
  firstSerial: 100,
  lastSerial: 149,
  nextSerial: 110,
  state: "open",
  closed: false,
  scrappedInRow: 5,
  yieldPercent: 90,
  yieldAfterCards: 20,
  yieldWindowCards: 200,
};

/** The batch in a state. */
export function batchIn(state: BatchState): BatchRecord {
  return { ...BATCH, state, closed: state === "closed" };
}

/** A reservation in a state. */
export function reservationIn(
  state: ReservationState,
  change: Partial<ReservationRecord> = {},
): ReservationRecord {
  return {
    id: "7d5c4f0e-57f1-4b67-9f5d-3a5f6f3b8a01",
    batch: BATCH.name,
    station: STATION.name,
    serial: 105,
    state,
    personalizationKey: "04" + "00".repeat(64),
    seenPublicKey: null,
    ...change,
  };
}

/** The live certificate of `reservationIn`. */
export const CERTIFICATE: CertificateRecord = {
  reservation: reservationIn("attested").id,
  publicKey: "04" + "11".repeat(64),
  certificate: "0101",
  sha256: "CC".repeat(32),
  revoked: false,
  supersedes: false,
};
