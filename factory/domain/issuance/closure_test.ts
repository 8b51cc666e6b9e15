import assert from "node:assert/strict";
import type { ClosureRequest } from "shared/protocol/wire/attestation.ts";
import { RESERVATION_STATES } from "./card_flow.ts";
import { type CloseDecision, type CloseRecord, mayClose } from "./closure.ts";
import { CERTIFICATE, reservationIn, STATION } from "./fixture.ts";

const GOOD: ClosureRequest = {
  reservation: reservationIn("attested").id,
  outcome: "good",
  reason: null,
  certificateSha256: CERTIFICATE.sha256,
  packageSha256: null,
  operator: "ada",
  apdus: 60,
  startedAt: "2030-01-01T00:00:00Z",
  finishedAt: "2030-01-01T00:00:05Z",
};
const SCRAPPED: ClosureRequest = {
  ...GOOD,
  outcome: "scrapped",
  reason: "CARD_REMOVED",
  certificateSha256: null,
};

function outcome(decision: CloseDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  if (decision.kind === "repeat") return `repeat ${decision.outcome}`;
  return `${decision.state}${decision.revoke ? " revoked" : ""}`;
}

function recordIn(state: (typeof RESERVATION_STATES)[number]): CloseRecord {
  const live = ["attested", "installed", "good"].includes(state) ? CERTIFICATE : undefined;
  const closed = state === "good" ? GOOD : SCRAPPED;
  const closure = state === "good" || state === "scrapped"
    ? { outcome: closed.outcome, reason: closed.reason, certificateSha256: closed.certificateSha256 }
    : undefined;
  return { reservation: reservationIn(state), live, closure };
}

Deno.test("mayClose() every state x outcome", () => {
  const walked = Object.fromEntries(RESERVATION_STATES.map((state) => [
    state,
    [GOOD, SCRAPPED].map((request) => outcome(mayClose(recordIn(state), STATION.name, request))),
  ]));
  assert.deepEqual(walked, {
    reserved: ["ATTEST_NOT_ATTESTED", "scrapped"],
    "key-seen": ["ATTEST_NOT_ATTESTED", "scrapped"],
    attested: ["good", "scrapped revoked"],
    installed: ["good", "scrapped revoked"],
    good: ["repeat good", "ATTEST_CLOSED"],
    scrapped: ["ATTEST_CLOSED", "repeat scrapped"],
    missing: ["ATTEST_MISSING", "ATTEST_MISSING"],
  });
});

Deno.test("mayClose() good wants the certificate that was issued last", () => {
  const attested = recordIn("attested");
  const decide = (certificateSha256: string | null) =>
    outcome(mayClose(attested, STATION.name, { ...GOOD, certificateSha256 }));
  assert.equal(decide("DD".repeat(32)), "ATTEST_CERTIFICATE_MISMATCH");
  assert.equal(decide(null), "ATTEST_CERTIFICATE_MISMATCH");
});

Deno.test("mayClose() refuses strangers, other stations, wrong reasons, wrong times, another closing", () => {
  const attested = recordIn("attested");
  const decide = (record: CloseRecord, request: ClosureRequest, station = STATION.name) =>
    outcome(mayClose(record, station, request));
  assert.equal(decide({ ...attested, reservation: undefined }, GOOD), "ATTEST_RESERVATION_UNKNOWN");
  assert.equal(decide(attested, GOOD, "line-2"), "ATTEST_STATION_MISMATCH");
  assert.equal(decide(attested, { ...GOOD, reason: "X" }), "ATTEST_REASON_MISSING");
  assert.equal(decide(attested, { ...SCRAPPED, reason: null }), "ATTEST_REASON_MISSING");
  assert.equal(decide(attested, { ...GOOD, finishedAt: "2029-12-31T23:59:59Z" }), "ATTEST_TIMES");
  assert.equal(decide(recordIn("scrapped"), { ...SCRAPPED, reason: "OTHER" }), "ATTEST_CLOSED");
});
