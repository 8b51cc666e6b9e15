/** Doors, bans, places and gates: the counters that hostile clients could fill or keep. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { compileNetworks } from "../domain/networks.ts";
import { keyOf } from "../domain/rate_rule.ts";
import { Bans } from "./bans.ts";
import { Concurrency } from "./concurrency.ts";
import { Door } from "./door.ts";
import { Gate } from "./overload.ts";

function clockAt() {
  const time = { ms: 0 };
  return { time, clock: { now: () => time.ms, monotonic: () => time.ms } };
}
const NOBODY = compileNetworks([]);
const rule = (quota: number, windowSeconds: number, burst: number) => ({
  name: "x",
  quota,
  windowSeconds,
  burst,
});

Deno.test("Door.admit() decides in its order, and a refused connection keeps no place", () => {
  const { time, clock } = clockAt();
  const bans = new Bans(undefined, clock, () => {});
  const denied = compileNetworks(["203.0.113.0/24"]);
  const rules = { perAddress: rule(1, 1, 3), failedPerAddress: rule(1, 10, 2), total: rule(1, 1, 4) };
  const door = new Door({ maxConnections: 10, maxConnectionsPerAddress: 2 }, rules, bans, clock);
  assert.equal(door.admit("203.0.113.9", denied), "address-denied");
  assert.equal(door.admit("10.0.0.1", denied), undefined);
  assert.equal(door.admit("10.0.0.1", denied), undefined);
  assert.equal(door.admit("10.0.0.1", denied), "address-connections-full");
  assert.equal(door.admit("10.0.0.1", denied), "handshakes-limited");
  assert.equal(door.admit("10.0.0.2", denied), undefined);
  assert.equal(door.admit("10.0.0.3", denied), undefined);
  assert.equal(door.admit("10.0.0.4", denied), "handshakes-full");
  assert.equal(door.open, 4);
  for (const address of ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]) door.release(address);
  assert.equal(door.open, 0);
  time.ms += 4_000;
  for (let n = 0; n < 2; n++) door.handshakeFailed("2001:db8::1");
  assert.equal(door.admit("2001:db8::ffff", denied), "handshakes-failed", "the whole /64");
  assert.equal(door.admit("2001:db8:0:1::1", denied), undefined);
  time.ms += 10_000;
  assert.equal(door.admit("2001:db8::1", denied), undefined, "earned back");
});

Deno.test("Bans.refuses() by /64, never whom it must not, bounded, and not at all in a dry run", () => {
  const { time, clock } = clockAt();
  const told: string[] = [];
  const settings = (dryRun: boolean) => ({
    rule: {
      threshold: 10,
      halfLifeMs: 60_000,
      banMs: 1_000,
      maxBanMs: 4_000,
      points: { handshake: 10, block: 10, flood: 1 },
    },
    never: compileNetworks(["10.0.0.5/32"]),
    dryRun,
  });
  const bans = new Bans(settings(false), clock, (address, seconds) => told.push(`${address} ${seconds}`), 3);
  bans.offence("2001:db8::1", "block");
  bans.offence("10.0.0.5", "block");
  assert.deepEqual(told, ["2001:db8::/64 1"]);
  assert.ok(bans.refuses("2001:db8::2") && !bans.refuses("2001:db8:0:1::2") && !bans.refuses("10.0.0.5"));
  for (let n = 0; n < 100; n++) bans.offence(`10.1.0.${n}`, "flood");
  assert.equal(bans.size, 3);
  time.ms = 1_000;
  assert.ok(!bans.refuses("2001:db8::2"));
  const dry = new Bans(settings(true), clock, (address) => told.push(address));
  dry.offence("192.0.2.1", "handshake");
  assert.equal(told.at(-1), "192.0.2.1");
  assert.ok(!dry.refuses("192.0.2.1"));
});

Deno.test("Door and Bans hold under any order of events: places are given back, caps are kept", () => {
  const event = fc.record({
    kind: fc.constantFrom("open", "close", "fail", "wait"),
    address: fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"),
    ms: fc.integer({ min: 0, max: 3_000 }),
  });
  fc.assert(fc.property(fc.array(event, { maxLength: 200 }), (events) => {
    const { time, clock } = clockAt();
    const door = new Door(
      { maxConnections: 6, maxConnectionsPerAddress: 3 },
      { failedPerAddress: rule(1, 1, 5), perAddress: rule(5, 1, 5) },
      new Bans(undefined, clock, () => {}),
      clock,
    );
    const open: string[] = [];
    for (const { kind, address, ms } of events) {
      if (kind === "wait") time.ms += ms;
      else if (kind === "fail") door.handshakeFailed(address);
      else if (kind === "close") {
        const at = open.indexOf(address);
        if (at >= 0) door.release(open.splice(at, 1)[0]!);
      } else if (door.admit(address, NOBODY) === undefined) open.push(address);
      assert.equal(door.open, open.length);
      assert.ok(open.length <= 6);
      assert.ok(open.filter((each) => each.startsWith("2001")).length <= 3, "one /64 is one address");
    }
    time.ms += 60_000;
    for (const address of open.splice(0)) door.release(address);
    assert.equal(door.admit("10.0.0.1", NOBODY), undefined, "and everybody is let in again");
  }));
});

Deno.test("Concurrency.enter() counts under all rules or none, and gives places back once", () => {
  const concurrency = new Concurrency();
  const limit = (name: string, max: number, dryRun = false) => ({
    name,
    by: ["identity"] as const,
    max,
    dryRun,
  });
  const keyed = (key: string) => [
    { rule: limit("two", 2), key },
    { rule: limit("three", 3), key: "all" },
    { rule: limit("dry", 1, true), key: "all" },
  ];
  const passed = ["a", "a", "b"].map((key) => concurrency.enter(keyed(key)));
  assert.deepEqual(passed.map(({ kind, dryRun }) => [kind, dryRun]), [["pass", []], ["pass", ["dry"]], [
    "pass",
    ["dry"],
  ]]);
  assert.deepEqual(concurrency.enter(keyed("a")), { kind: "refuse", rule: "two", dryRun: ["dry"] });
  assert.deepEqual(concurrency.enter(keyed("c")), { kind: "refuse", rule: "three", dryRun: ["dry"] });
  for (const verdict of passed) {
    if (verdict.kind === "pass") [verdict.leave, verdict.leave].forEach((leave) => leave());
  }
  assert.equal(concurrency.size, 0);
});

Deno.test("Gate.enter() gives each place back once, and learns from it", () => {
  const { time, clock } = clockAt();
  const gate = new Gate({ initial: 4, min: 2, max: 8, tolerance: 2 }, clock);
  const slots = Array.from({ length: 6 }, () => gate.enter("restore")).filter((slot) => slot !== undefined);
  assert.equal(slots.length, 4);
  assert.equal(gate.enter("factory"), undefined);
  time.ms = 10;
  for (const slot of slots) [false, true].forEach((overloaded) => slot.leave(overloaded));
  assert.deepEqual([gate.inFlight, gate.limit], [0, 4]);
  gate.enter("restore")!.leave(true);
  assert.equal(gate.limit, 3);
});

Deno.test("keyOf() no two clients share a key by their names", () => {
  const facts = fc.record({
    identity: fc.string(),
    address: fc.constant("10.0.0.1"),
    route: fc.string(),
    backup: fc.option(fc.string(), { nil: undefined }),
  });
  fc.assert(fc.property(facts, facts, (a, b) => {
    const same = a.identity === b.identity && a.route === b.route && (a.backup ?? "") === (b.backup ?? "");
    assert.equal(
      keyOf(["identity", "route", "backup"], a) === keyOf(["identity", "route", "backup"], b),
      same,
    );
  }));
});
