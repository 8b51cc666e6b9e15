import assert from "node:assert/strict";
import { z } from "zod";
import { defineErrors } from "./errors.ts";
import { Address, besideConfig, isLoopback, parseConfig, pathFrom, splitAddress } from "./configuration.ts";

defineErrors({ TEST_CONFIG: { fault: "configuration", retry: false, next: "Correct it." } });

const Schema = z.strictObject({
  first: z.int(),
  last: z.int(),
  list: z.array(z.strictObject({ name: z.string() })).default([]),
});
const parse = (text: string) =>
  parseConfig("c.yaml", text, Schema, {
    code: "TEST_CONFIG",
    contradictions: ({ first, last }) =>
      first > last ? [{ path: ["last"], message: "it is below first" }] : [],
  });

Deno.test("parseConfig() takes YAML and JSON", () => {
  assert.deepEqual(parse("first: 1\nlast: 2"), { first: 1, last: 2, list: [] });
  assert.deepEqual(parse('{"first":1,"last":2,"list":[{"name":"a"}]}').list, [{ name: "a" }]);
});

Deno.test("parseConfig() names line, column and key of each fault, and never a value", () => {
  const cases: [string, RegExp][] = [
    ["first: 1", /^c\.yaml:1:1: last: missing: expected number$/m],
    ["first: hidden\nlast: 2", /^c\.yaml:1:8: first: expected (int|number), received string$/m],
    ["first: 1\nlast: 2\nmore: hidden", /^c\.yaml:3:1: more: unknown key$/m],
    [
      "first: 1\nlast: 2\nlist:\n  - name: a\n    age: hidden",
      /^c\.yaml:5:5: list\[0\]\.age: unknown key$/m,
    ],
    ["first: 3\nlast: 2", /^c\.yaml:2:7: last: it is below first$/m],
    ["first: 1\nfirst: 2\nlast: 2", /^c\.yaml:2:1: Map keys must be unique/m],
    ["first: [1", /^c\.yaml:1:\d+: /m],
    ["", /^c\.yaml:1:1: expected object/m],
    [`a: &a [1,1]\nb: &b [${"*a,".repeat(40)}]\nc: [${"*b,".repeat(40)}]`, /expected fewer aliases/],
  ];
  for (const [text, words] of cases) {
    assert.throws(() => parse(text), (error: Error & { code?: string }) => {
      assert.equal(error.code, "TEST_CONFIG");
      assert.match(error.message, words);
      assert.equal(error.message.includes("hidden"), false);
      return true;
    });
  }
});

Deno.test("addresses are split, and loopback is told from the rest", () => {
  assert.deepEqual(splitAddress("127.0.0.1:8451"), { hostname: "127.0.0.1", port: 8451 });
  assert.deepEqual(splitAddress("[::1]:0"), { hostname: "::1", port: 0 });
  for (const address of ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"]) {
    assert.ok(isLoopback(address));
  }
  for (const address of ["0.0.0.0:1", "127.example.com:1", "[::]:1", "10.0.0.1:1"]) {
    assert.ok(!isLoopback(address));
  }
  assert.equal(Address.safeParse("nowhere").success, false);
});

Deno.test("paths are counted from the configuration's folder", () => {
  assert.equal(besideConfig("/etc/rk/c.yaml", "tls/a.key"), "/etc/rk/tls/a.key");
  assert.equal(pathFrom("/etc/rk/c.yaml").parse("/abs"), "/abs");
  assert.equal(pathFrom("/etc/rk/c.yaml").parse("tls/a.key"), "/etc/rk/tls/a.key");
});
