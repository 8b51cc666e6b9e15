import assert from "node:assert/strict";
import fc from "fast-check";
import { initialBudget, payIn, takeRetry } from "./retry_budget.ts";

Deno.test("takeRetry() never allows more than the burst and the share of the requests", () => {
  const rule = { share: 0.2, burst: 10 };
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (wishes) => {
      let saved = initialBudget(rule);
      let retries = 0;
      for (const wish of wishes) {
        saved = payIn(saved, rule);
        const left = wish ? takeRetry(saved) : undefined;
        if (left === undefined) continue;
        saved = left;
        retries++;
      }
      assert.ok(retries <= rule.burst + wishes.length * rule.share + 1e-6, `${retries} of ${wishes.length}`);
    }),
  );
});

Deno.test("payIn() ten times 0.1 is a retry, and without a burst there is none", () => {
  let saved = 0;
  for (let i = 0; i < 10; i++) saved = payIn(saved, { share: 0.1, burst: 5 });
  assert.equal(takeRetry(saved), 0);
  assert.equal(takeRetry(payIn(0, { share: 1, burst: 0 })), undefined);
});
