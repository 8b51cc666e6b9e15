import assert from "node:assert/strict";
import { TEST_LOG, TEST_WITNESSES } from "./testing/log_folder.ts";
import { parseTrust, trustPolicy } from "./trust.ts";

const [ONE, TWO] = TEST_WITNESSES.map(({ vkey }) => vkey) as [string, string];

Deno.test("trustPolicy() takes the log's name for its origin, and no witness twice", () => {
  const policy = trustPolicy(
    parseTrust(JSON.stringify({ log: [TEST_LOG.vkey], witnesses: [ONE, TWO], quorum: 1 })),
  );
  assert.deepEqual([policy.origin, policy.witnesses.length, policy.quorum], ["log.example/factory", 2, 1]);
  assert.equal(trustPolicy({ origin: "o", log: [TEST_LOG.vkey], witnesses: [], quorum: 0 }).origin, "o");
  const twice = { log: [TEST_LOG.vkey], witnesses: [ONE, ONE], quorum: 2 };
  assert.throws(() => trustPolicy(twice), { code: "LOG_TRUST" });
  assert.throws(() => trustPolicy({ log: [ONE], witnesses: [], quorum: 0 }), { code: "VKEY_TYPE" });
  assert.throws(() => trustPolicy({ log: [TEST_LOG.vkey], witnesses: [TEST_LOG.vkey], quorum: 0 }), {
    code: "COSIGNATURE_KEY",
  });
});

Deno.test("parseTrust() refuses every other form", () => {
  const hostile = ["", "{", "[]", "{}", '{"log":[]}', '{"log":["x"],"quorum":-1}', '{"log":["x"],"more":1}'];
  for (const text of hostile) assert.throws(() => parseTrust(text), { code: "LOG_TRUST" }, text);
});
