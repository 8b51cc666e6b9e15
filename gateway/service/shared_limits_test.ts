/** Limits on a real Redis: exact with many callers at once, by the store's clock, and what counts when it is gone. */

import assert from "node:assert/strict";
import { startRedis } from "tests/environment/redis.ts";
import { decideLimit, type LimitRule } from "../domain/limit.ts";
import type { KeyedRule, RateRule } from "../domain/rate_rule.ts";
import { openRedisScript } from "../transport/redis_script.ts";
import { Limiter } from "./limiter.ts";
import { LimitStore, type SharedLimitStore } from "./limit_store.ts";
import { LIMIT_SCRIPT, sharedLimits } from "./shared_limits.ts";

const rateRule = (rule: Partial<RateRule> & { name: string }): RateRule => ({
  quota: 100,
  windowSeconds: 1,
  burst: 10,
  by: ["identity"],
  dryRun: false,
  whenStoreGone: "refuse",
  ...rule,
});
const clock = { now: () => Date.now(), monotonic: () => performance.now() };

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

interface Instance {
  readonly store: SharedLimitStore;
  readonly states: string[];
}

async function instance(port: number, timeoutMs = 30_000): Promise<Instance> {
  const states: string[] = [];
  const script = openRedisScript(
    { host: "127.0.0.1", port, timeoutMs },
    LIMIT_SCRIPT,
    (state) => states.push(state),
  );
  await until(() => states.at(-1) === "up");
  return { store: sharedLimits(script, "test:"), states };
}

/** The state that the script keeps, by a client that is not ours. */
async function redisCli(port: number, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("redis-cli", { args: ["-p", String(port), ...args] }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("sharedLimits() admits floor(rate x time) + burst over two instances, by the store's clock", async () => {
  // Enough for CI; RK_LIMIT_REQUESTS asks for more.
  const wanted = Number(Deno.env.get("RK_LIMIT_REQUESTS") ?? 20_000);
  await using redis = await startRedis();
  const instances = await Promise.all([instance(redis.port), instance(redis.port)]);
  const rule = rateRule({ name: "exact", quota: 997, windowSeconds: 1, burst: 20_000 });
  const keyed: KeyedRule[] = [{ rule, key: "a" }];
  const key = "test:exact 997/1/20000 a";
  // A key whose burst is spent, at a time of the store's clock that is known to the millisecond.
  const spent = `local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, ARGV[1]))
    return string.format('%.0f', now)`;
  const began = Number(await redisCli(redis.port, "EVAL", spent, "1", key, String(rule.burst * 1000)));
  let admitted = 0;
  let asked = 0;
  const press = async ({ store }: Instance) => {
    while (asked < wanted) {
      asked++;
      if ((await store.take(keyed))![0]!.allowed) admitted++;
    }
  };
  await Promise.all(instances.flatMap((each) => Array.from({ length: 32 }, () => press(each))));
  const [at, debt] = (await redisCli(redis.port, "GET", key)).split(" ").map(Number);
  for (const { store } of instances) store.close();
  const elapsed = at! - began;
  // The key's own account, to the unit: no admission was lost or doubled between the two.
  assert.equal(admitted + rule.burst, (elapsed * rule.quota + debt!) / 1000, `${admitted} of ${asked}`);
  // And the promise, at the time of the last admission by the store's clock.
  const promised = Math.floor(elapsed * rule.quota / 1000) + rule.burst;
  assert.ok(Math.abs(admitted + rule.burst - promised) <= 1, `${admitted} in ${elapsed} ms`);
  assert.ok(admitted > 0 && asked >= wanted);
});

Deno.test("the script decides as decideLimit() does, request by request", async () => {
  await using redis = await startRedis();
  const { store } = await instance(redis.port);
  const shapes: Omit<LimitRule, "name">[] = [
    { quota: 1, windowSeconds: 3_600, burst: 3 },
    { quota: 1_000_000, windowSeconds: 86_400, burst: 1_000_000 },
    { quota: 7, windowSeconds: 86_400, burst: 2 },
  ];
  for (const [i, shape] of shapes.entries()) {
    const rule = rateRule({ name: `shape-${i}`, ...shape });
    let arrival: number | undefined;
    for (let n = 0; n < 6; n++) {
      const theirs = (await store.take([{ rule, key: "k" }]))![0]!;
      const ours = decideLimit(rule, arrival, 0);
      arrival = ours.arrival;
      assert.equal(theirs.allowed, ours.allowed, `${JSON.stringify(shape)} request ${n}`);
      // Time passes on the store only: what is left can only be more.
      assert.ok(theirs.remaining >= ours.remaining && theirs.retryAfterMs <= ours.retryAfterMs);
    }
  }
  store.close();
});

Deno.test("take() counts a request under all rules or under none, and a dry run stops nobody", async () => {
  await using redis = await startRedis();
  const shared = (await instance(redis.port)).store;
  const memory = new LimitStore({ ...clock, monotonic: () => 0 });
  const slow = { quota: 1, windowSeconds: 86_400 };
  const wide = rateRule({ name: "wide", ...slow, burst: 5 });
  const narrow = rateRule({ name: "narrow", ...slow, burst: 2 });
  const dry = rateRule({ name: "dry", ...slow, burst: 1, dryRun: true });
  const all = [wide, narrow, dry].map((rule) => ({ rule, key: "k" }));
  for (const limiter of [new Limiter(memory), new Limiter(memory, shared)]) {
    const first = await limiter.decide(all);
    assert.deepEqual([first.kind, first.fired, first.dryRun], ["pass", [], []]);
    assert.equal(first.headers["ratelimit-policy"], '"wide";q=1;w=86400, "narrow";q=1;w=86400');
    const second = await limiter.decide(all);
    assert.deepEqual([second.kind, second.fired, second.dryRun], ["pass", [], ["dry"]]);
    for (let n = 0; n < 10; n++) {
      const refused = await limiter.decide(all);
      assert.deepEqual([refused.kind, refused.fired], ["refuse", ["narrow"]]);
      assert.match(refused.headers["ratelimit"]!, /^"wide";r=3;t=\d+, "narrow";r=0;t=\d+$/);
      assert.ok(Number(refused.headers["retry-after"]) > 80_000);
    }
    // Ten refusals cost the wide rule nothing: three of its five are left.
    for (let n = 0; n < 3; n++) assert.equal((await limiter.decide([all[0]!])).kind, "pass");
    assert.equal((await limiter.decide([all[0]!])).kind, "refuse");
  }
  shared.close();
});

Deno.test("each rule says what counts when the store is gone, and the store is asked again when it is back", async () => {
  await using redis = await startRedis();
  const { store, states } = await instance(redis.port, 300);
  const limiter = new Limiter(new LimitStore(clock), store);
  const open = { rule: rateRule({ name: "open", whenStoreGone: "allow" }), key: "k" };
  const closed = { rule: rateRule({ name: "closed" }), key: "k" };
  const local = {
    rule: rateRule({ name: "local", quota: 1, windowSeconds: 3_600, burst: 2, whenStoreGone: "local" }),
    key: "k",
  };
  const dry = { rule: rateRule({ name: "dry", dryRun: true }), key: "k" };
  assert.equal((await limiter.decide([open, closed, local])).kind, "pass");

  const whileGone = async () => {
    assert.equal((await limiter.decide([open, dry])).kind, "pass");
    const refused = await limiter.decide([open, closed, local]);
    assert.ok(refused.kind === "refuse" && refused.reason === "rate-store-gone");
    assert.deepEqual([refused.fired, refused.headers], [["closed"], { "retry-after": "1" }]);
  };
  const asked = async () => (await limiter.decide([closed])).kind === "pass";
  await redis.kill();
  await until(() => states.at(-1) === "gone");
  await whileGone();
  const kinds = [];
  for (let n = 0; n < 3; n++) kinds.push((await limiter.decide([local])).kind);
  assert.deepEqual(kinds, ["pass", "pass", "refuse"], "this instance's own count");
  await redis.restart();
  await until(asked);

  // A store that is there and silent is gone too, and requests wait for it one after the other no longer.
  redis.freeze();
  await until(async () => !await asked());
  await whileGone();
  redis.thaw();
  await until(asked);

  // One that refuses to write.
  await redisCli(redis.port, "CONFIG", "SET", "maxmemory", "1");
  await until(async () => !await asked());
  await whileGone();
  await redisCli(redis.port, "CONFIG", "SET", "maxmemory", "0");
  await until(asked);
  store.close();
});
