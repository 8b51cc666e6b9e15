import assert from "node:assert/strict";
import fc from "fast-check";
import { compileIdentityPattern, compileIdentityPatterns, isIdentityPattern } from "./identity.ts";

Deno.test("compileIdentityPattern() lets a star stand for exactly one segment", () => {
  const station = compileIdentityPattern("urn:recovery-key:station:*");
  assert.ok(station("urn:recovery-key:station:line-1"));
  for (const other of ["station:", "station:a:admin", "station:a/b", "batch-manager:a", "station"]) {
    assert.ok(!station(`urn:recovery-key:${other}`), other);
  }
  assert.ok(!station("URN:recovery-key:station:a"), "identities are compared as they stand");
  const inner = compileIdentityPattern("spiffe://factory/line/*/station");
  assert.ok(inner("spiffe://factory/line/7/station"));
  assert.ok(!inner("spiffe://factory/line/7/8/station"));
  assert.ok(!inner("spiffe://factory/line//station"));
  const overlap = compileIdentityPattern("urn:a:*:a");
  assert.ok(!overlap("urn:a:a"), "before and after do not share characters");
});

Deno.test("compileIdentityPattern() without a star accepts that identity and no other", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    fc.pre(!a.includes("*"));
    assert.equal(compileIdentityPattern(a)(b), a === b);
  }));
});

Deno.test("compileIdentityPatterns() with nothing in the list accepts nobody", () => {
  assert.ok(!compileIdentityPatterns([])(""));
  assert.ok(compileIdentityPatterns(["urn:a:b", "urn:a:*"])("urn:a:c"));
});

Deno.test("isIdentityPattern() takes URIs with at most one whole-segment star", () => {
  for (const good of ["urn:a:b", "urn:a:*", "urn:*:b", "spiffe://a/*/b"]) {
    assert.ok(isIdentityPattern(good), good);
  }
  for (const bad of ["", "*", "station-a", "urn:a:*:*", "urn:a:x*", "urn:a:*x", "urn:a b", "*:a"]) {
    assert.ok(!isIdentityPattern(bad), bad);
  }
});
