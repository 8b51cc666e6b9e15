import assert from "node:assert/strict";
import type { KeyFacts, RateRule } from "../domain/rate_rule.ts";
import { stateName } from "./limit_store.ts";
import { RateKeys } from "./rate_keys.ts";

const rule = (name: string): RateRule => ({
  name,
  quota: 1,
  windowSeconds: 1,
  burst: 1,
  by: ["identity", "address", "route", "backup"],
  dryRun: false,
  whenStoreGone: "refuse",
});
const FACTS: KeyFacts = { identity: "urn:a", address: "192.0.2.1", route: "things", backup: "b1" };

Deno.test("RateKeys are those of the request, whatever came before on the connection", () => {
  const keys = new RateKeys();
  const [rules, others] = [[rule("one"), rule("two")], [rule("three")]];
  const seen = new Set<string>();
  const look = (of: readonly RateRule[], facts: KeyFacts) => {
    const keyed = keys.of(of, facts);
    assert.deepEqual(keyed, new RateKeys().of(of, facts));
    for (const each of keyed) {
      assert.equal(each.name, stateName({ rule: each.rule, key: each.key }));
      seen.add(each.name!);
    }
    return keyed;
  };
  const first = look(rules, FACTS);
  assert.equal(look(rules, { ...FACTS }), first, "the same texts");
  for (const part of ["identity", "address", "route", "backup"] as const) {
    look(rules, { ...FACTS, [part]: "203.0.113.7" });
    look(rules, FACTS);
  }
  look(rules, { ...FACTS, backup: undefined });
  look(others, FACTS);
  look(rules, FACTS);
  assert.equal(seen.size, 2 * 6 + 1, "one for each rule and each fact that differs");
});
