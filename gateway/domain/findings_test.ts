import assert from "node:assert/strict";
import { type Figures, findings } from "./findings.ts";

const NOW = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const WELL: Figures = {
  now: NOW,
  phase: "serving",
  upstreams: [{ pool: "a", instance: "one", state: "up" }, { pool: "a", instance: "two", state: "up" }],
  activity: { requestsPerSecond: 100, faultsPerSecond: 0 },
  outbound: [{ destination: "route a", alarmed: false }],
  certificates: [{ use: "listener", notAfter: NOW + 90 * DAY_MS }],
  revocation: [{ authority: "clients", freshUntil: NOW + DAY_MS, whenStale: "refuse" }],
};

const CASES: Readonly<Record<string, readonly [change: Partial<Figures>, severity: string, words: RegExp]>> =
  {
    "one instance of two is down": [
      { upstreams: [WELL.upstreams[0]!, { pool: "a", instance: "two", state: "down" }] },
      "warning",
      /^1 of 2 instances of a are not up: two$/,
    ],
    "no instance is up": [
      { upstreams: [{ pool: "a", instance: "one", state: "trial" }] },
      "alarm",
      /^No instance of a is up/,
    ],
    "the gateway drains": [{ phase: "draining" }, "warning", /draining/],
    "some server errors": [{ activity: { requestsPerSecond: 100, faultsPerSecond: 2 } }, "warning", /^2 %/],
    "many server errors": [{ activity: { requestsPerSecond: 10, faultsPerSecond: 1 } }, "alarm", /^10 %/],
    "much leaves": [{ outbound: [{ destination: "route a", alarmed: true }] }, "alarm", /route a/],
    "a certificate ends soon": [
      { certificates: [{ use: "listener", notAfter: NOW + 20 * DAY_MS }] },
      "warning",
      /listener ends in 20 days/,
    ],
    "a certificate has ended": [{ certificates: [{ use: "listener", notAfter: NOW }] }, "alarm", /has ended/],
    "a list is stale": [
      { revocation: [{ authority: "clients", freshUntil: NOW - 1, whenStale: "refuse" }] },
      "alarm",
      /its clients are refused/,
    ],
    "a list is missing": [
      { revocation: [{ authority: "clients", whenStale: "accept" }] },
      "warning",
      /revoked clients may get in/,
    ],
    "a list is stale soon": [
      { revocation: [{ authority: "clients", freshUntil: NOW + 600_000, whenStale: "refuse" }] },
      "warning",
      /stale in 10 min/,
    ],
  };

Deno.test("findings() finds nothing where everything is well", () => assert.deepEqual(findings(WELL), []));

for (const [name, [change, severity, words]] of Object.entries(CASES)) {
  Deno.test(`findings() ${name}`, () => {
    const [finding, ...more] = findings({ ...WELL, ...change });
    assert.deepEqual(more, []);
    assert.equal(finding?.severity, severity);
    assert.match(finding?.text ?? "", words);
  });
}

Deno.test("findings() names alarms first", () => {
  const found = findings({ ...WELL, phase: "draining", outbound: [{ destination: "x", alarmed: true }] });
  assert.deepEqual(found.map(({ severity }) => severity), ["alarm", "warning"]);
});
