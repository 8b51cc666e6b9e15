import assert from "node:assert/strict";
import fc from "fast-check";
import {
  afterOffence,
  type BanRule,
  type BanState,
  isBanned,
  isForgiven,
  type Offence,
  offenceOf,
} from "./bans.ts";
import { type RefusalReason, REFUSALS } from "./refusals.ts";

const rule: BanRule = {
  threshold: 10,
  halfLifeMs: 60_000,
  banMs: 1_000,
  maxBanMs: 8_000,
  points: { handshake: 5, block: 4, flood: 1 },
};

Deno.test("afterOffence() bans at the threshold, twice as long each time, and forgets", () => {
  let state: BanState | undefined;
  let now = 0;
  const bans: number[] = [];
  for (let n = 0; n < 6; n++) {
    while (!isBanned(state, now)) state = afterOffence(rule, state, "handshake", now);
    bans.push(state!.until - now);
    assert.equal(afterOffence(rule, state, "handshake", now), state, "a ban is not made longer");
    now = state!.until;
    assert.ok(!isBanned(state, now), "and ends");
  }
  // Two offences in the same moment are exactly the threshold.
  assert.deepEqual(bans, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  assert.ok(!isForgiven(rule, state!, now + rule.maxBanMs));
  assert.ok(isForgiven(rule, state!, now + rule.maxBanMs + 1));
  now += rule.maxBanMs + 1;
  while (!isBanned(state, now)) state = afterOffence(rule, state, "handshake", now);
  assert.equal(state!.until - now, rule.banMs, "and begins anew");
});

Deno.test("afterOffence() never bans who stays below the threshold in a half-life's decay", () => {
  const offences = fc.constantFrom<Offence>("handshake", "block", "flood");
  fc.assert(fc.property(fc.array(fc.tuple(offences, fc.integer({ min: 0, max: 200_000 }))), (all) => {
    let state: BanState | undefined;
    let now = 0;
    let last = 0;
    for (const [offence, gap] of all) {
      now += gap;
      const before = state;
      state = afterOffence(rule, state, offence, now);
      assert.ok(state.points < rule.threshold && state.points >= 0);
      // Alone, and long after the one before, no offence is enough.
      if (gap > 10 * rule.halfLifeMs && before !== undefined) assert.ok(!isBanned(state, now));
      if (isBanned(state, now)) assert.ok(state.until - now <= rule.maxBanMs);
      assert.ok(state.at >= last);
      last = state.at;
    }
  }));
});

Deno.test("offenceOf() knows every reason, and holds no honest mistake and no fault of ours against a client", () => {
  const innocent: string[] = [];
  for (const reason of Object.keys(REFUSALS) as RefusalReason[]) {
    if (offenceOf(reason) === undefined) innocent.push(reason);
  }
  for (
    const reason of [
      "route-unknown",
      "method-not-allowed",
      "media-type",
      "upstream-none",
      "upstream-lost",
      "upstream-deadline",
      "internal",
      "not-ready",
      "rate-store-full",
      "rate-store-gone",
      "overloaded",
      "address-banned",
    ]
  ) assert.ok(innocent.includes(reason), reason);
  for (const reason of ["framing-conflict", "identity-not-allowed", "request-timeout"]) {
    assert.equal(offenceOf(reason), "block", reason);
  }
  assert.equal(offenceOf("rate-limited"), "flood");
  assert.equal(offenceOf("client-gone"), undefined);
  assert.equal(offenceOf("toString"), undefined);
});
