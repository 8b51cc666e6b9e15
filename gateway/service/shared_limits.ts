/**
 * Limit states in Redis, shared by all instances: one script decides on all rules of a request in one round trip, by the store's own
 * clock, so that neither the instances' clocks nor their number matter.
 *
 * A key's state is "at debt": when it was written (milliseconds of the store's clock) and what the key owed then (1/quota ms, as
 * domain/limit.ts counts). It expires when the debt is earned back. The debt is kept and not the arrival time, because the
 * arrival time of a wall clock times a quota is no exact number in Lua, and because a clock that is set back then freezes nobody.
 */

import { createHash } from "node:crypto";
import { type LimitDecision, standingOf } from "../domain/limit.ts";
import type { KeyedRule } from "../domain/rate_rule.ts";
import type { RedisScript } from "../transport/redis_script.ts";
import { type SharedLimitStore, stateName } from "./limit_store.ts";

/** KEYS: states. ARGV: for each key quota, interval and tolerance (1/quota ms), and 1 when the rule refuses. */
export const LIMIT_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local states = redis.call('MGET', unpack(KEYS))
local debts, fits, counts = {}, {}, true
for i = 1, #KEYS do
  local quota, interval, tolerance = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local debt = 0
  if states[i] then
    local at, owed = string.match(states[i], '^(%d+) (%d+)$')
    if at then debt = math.max(0, owed - math.max(0, now - at) * quota) end
  end
  fits[i] = debt + interval <= tolerance
  debts[i] = debt
  if not fits[i] and ARGV[4 * i] == '1' then counts = false end
end
local answer = {}
for i = 1, #KEYS do
  if fits[i] and counts then
    debts[i] = debts[i] + ARGV[4 * i - 2]
    local state = string.format('%.0f %.0f', now, debts[i])
    redis.call('SET', KEYS[i], state, 'PX', string.format('%.0f', math.ceil(debts[i] / ARGV[4 * i - 3]) + 1))
  end
  answer[2 * i - 1] = fits[i] and 1 or 0
  answer[2 * i] = debts[i]
end
return answer
`;

/** Longer keys are replaced by their hash: an identity is as long as a certificate makes it. */
const MAX_KEY_LENGTH = 200;

/** The store. @param prefix In front of every key. */
export function sharedLimits(script: RedisScript, prefix: string): SharedLimitStore {
  return {
    async take(rules) {
      const keys = rules.map((keyed) => prefix + shortened(stateName(keyed)));
      return readAnswer(rules, await script.run(keys, rules.flatMap(({ rule }) => scriptArguments(rule))));
    },
    close: () => script.close(),
  };
}

function scriptArguments(rule: KeyedRule["rule"]): string[] {
  const interval = rule.windowSeconds * 1000;
  return [rule.quota, interval, interval * rule.burst, rule.dryRun ? 0 : 1].map(String);
}

function readAnswer(rules: readonly KeyedRule[], answer: unknown): LimitDecision[] | undefined {
  if (!Array.isArray(answer) || answer.length !== 2 * rules.length) return undefined;
  return rules.map(({ rule }, i) => ({
    allowed: Number(answer[2 * i]) === 1,
    arrival: undefined,
    ...standingOf(rule, Number(answer[2 * i + 1])),
  }));
}

function shortened(name: string): string {
  if (name.length <= MAX_KEY_LENGTH) return name;
  return `sha256 ${createHash("sha256").update(name).digest("hex")}`;
}
