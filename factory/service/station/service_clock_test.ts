import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { ServiceClock } from "./service_clock.ts";

const DATE = "Sat, 21 Nov 2026 14:00:00 GMT";
const THERE = Date.parse(DATE);

Deno.test("ServiceClock tells a difference once, in seconds and with its direction, and again after it was right", () => {
  const clock = new ServiceClock();
  assert.equal(clock.heard(undefined, THERE), undefined);
  assert.equal(clock.heard("no date", THERE), undefined);
  assert.equal(clock.heard(DATE, THERE + 29_000), undefined);
  assert.match(clock.heard(DATE, THERE + 400_000)!, /400 seconds ahead of/);
  assert.equal(clock.heard(DATE, THERE + 400_000), undefined);
  assert.equal(clock.heard(DATE, THERE), undefined);
  assert.match(clock.heard(DATE, THERE - 45_000)!, /45 seconds behind/);
});

Deno.test("ServiceClock explains a refused signature by the clocks, and nothing else", () => {
  const clock = new ServiceClock();
  const signature = new CodedError("ATTEST_SIGNATURE", "refused", { status: 401 });
  const other = new CodedError("ATTEST_CHIP_CLOSED", "closed", { status: 409 });
  assert.equal(clock.explain(signature), signature);
  clock.heard(DATE, THERE - 3_600_000);
  assert.equal(clock.explain(other), other);
  const explained = clock.explain(signature);
  assert.equal(explained.code, "STATION_CLOCK");
  assert.match(explained.message, /3600 seconds behind/);
  assert.equal(explained.details["refusal"], "ATTEST_SIGNATURE");
});
