import assert from "node:assert/strict";
import { fieldName } from "./field_names.ts";

Deno.test("fieldName() says the same of a name however often it was asked, and whatever else was asked meanwhile", () => {
  const known = [
    "Host",
    "host",
    "Client-Cert",
    "client_cert",
    "X_Forwarded.For",
    "Content-Type",
    "A",
    "a b",
    "",
    "Ä",
  ];
  const first = known.map((name) => ({ ...fieldName(name) }));
  for (let i = 0; i < 5_000; i++) fieldName(`x-${i}`);
  assert.deepEqual(known.map((name) => ({ ...fieldName(name) })), first);
  assert.deepEqual(first.map(({ name }) => name), known.map((name) => name.toLowerCase()));
});

Deno.test("fieldName() knows what only a gateway may say, in any spelling, and what is taken for it", () => {
  const of = (spelling: string) => {
    const { kind, isProtected, isLookalike, isSingle, isToken } = fieldName(spelling);
    return [kind, isProtected, isLookalike, isSingle, isToken];
  };
  assert.deepEqual(of("CLIENT-CERT"), ["gateway", true, false, false, true]);
  assert.deepEqual(of("client_cert"), ["gateway", false, true, false, true]);
  assert.deepEqual(of("Transfer.Encoding"), ["hop", false, true, false, true]);
  assert.deepEqual(of("content-type"), [undefined, true, false, true, true]);
  assert.deepEqual(of("x-forwarded-anything"), ["gateway", false, false, false, true]);
  assert.deepEqual(of(`x-${"long-".repeat(100)}`), [undefined, false, false, false, true]);
  assert.deepEqual(of("a b"), [undefined, false, false, false, false]);
});
