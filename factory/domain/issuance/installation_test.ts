import assert from "node:assert/strict";
import type { InstallationRequest } from "shared/protocol/wire/attestation.ts";
import { RESERVATION_STATES } from "./card_flow.ts";
import { CERTIFICATE, reservationIn, STATION } from "./fixture.ts";
import { type InstallDecision, mayInstall } from "./installation.ts";

const REQUEST: InstallationRequest = {
  reservation: reservationIn("attested").id,
  certificateSha256: CERTIFICATE.sha256,
  lifeCycle: 1,
};

function outcome(decision: InstallDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  return decision.kind === "repeat" ? `repeat ${decision.state}` : decision.kind;
}

Deno.test("mayInstall() every state x the live certificate, another one, none", () => {
  const lives = [CERTIFICATE, { ...CERTIFICATE, sha256: "DD".repeat(32) }, undefined];
  const walked = Object.fromEntries(RESERVATION_STATES.map((state) => [
    state,
    lives.map((live) =>
      outcome(mayInstall({ reservation: reservationIn(state), live }, STATION.name, REQUEST))
    ),
  ]));
  const other = ["ATTEST_CERTIFICATE_MISMATCH", "ATTEST_CERTIFICATE_MISMATCH"];
  assert.deepEqual(walked, {
    reserved: Array(3).fill("ATTEST_NOT_ATTESTED"),
    "key-seen": Array(3).fill("ATTEST_NOT_ATTESTED"),
    attested: ["accept", ...other],
    installed: ["repeat installed", ...other],
    good: ["repeat good", ...other],
    scrapped: Array(3).fill("ATTEST_CLOSED"),
    missing: Array(3).fill("ATTEST_MISSING"),
  });
});

Deno.test("mayInstall() refuses strangers and other stations", () => {
  const record = { reservation: reservationIn("attested"), live: CERTIFICATE };
  assert.equal(
    outcome(mayInstall({ ...record, reservation: undefined }, STATION.name, REQUEST)),
    "ATTEST_RESERVATION_UNKNOWN",
  );
  assert.equal(outcome(mayInstall(record, "line-2", REQUEST)), "ATTEST_STATION_MISMATCH");
});
