import assert from "node:assert/strict";
import { Secret } from "../base/secret.ts";
import { hmacPseudonyms, hsmPseudonyms, PSEUDONYM, pseudonymKind, Pseudonyms } from "./pseudonym.ts";

const key = (byte: number) => hmacPseudonyms(new Secret(new Uint8Array(32).fill(byte)));

Deno.test("Pseudonyms: one identifier has one pseudonym in a log, and another in every other log", async () => {
  const log = new Pseudonyms("log.example/a", key(1));
  const first = await log.of("card", "00C0FFEE");
  assert.match(first, PSEUDONYM);
  assert.equal(pseudonymKind(first), "card");
  assert.equal(await new Pseudonyms("log.example/a", key(1)).of("card", "00C0FFEE"), first);
  const others = await Promise.all([
    log.of("card", "00C0FFEF"),
    log.of("chip", "00C0FFEE"),
    new Pseudonyms("log.example/a", key(2)).of("card", "00C0FFEE"),
    // The same key by mistake: still nothing to join.
    new Pseudonyms("log.example/b", key(1)).of("card", "00C0FFEE"),
  ]);
  const macs = [first, ...others].map((pseudonym) => pseudonym.split(":")[1]);
  assert.equal(new Set(macs).size, 5);
});

Deno.test("Pseudonyms: kind and identifier cannot run into each other", async () => {
  const log = new Pseudonyms("o", key(1));
  const swapped = new Pseudonyms("o\ncard", key(1));
  assert.notEqual((await log.of("card", "x")).split(":")[1], (await swapped.of("card", "x")).split(":")[1]);
});

Deno.test("Pseudonyms: short keys and identifiers without text are refused", async () => {
  assert.throws(() => hmacPseudonyms(new Secret(new Uint8Array(31))), { code: "PSEUDONYM_KEY" });
  const log = new Pseudonyms("o", key(1));
  for (const identifier of ["", "x".repeat(513), "\ud800"]) {
    await assert.rejects(log.of("card", identifier), { code: "PSEUDONYM_IDENTIFIER" });
  }
});

Deno.test("Pseudonyms under a token's key ask the token once for each identifier", async () => {
  let asked = 0;
  const hsm = {
    cmac: (label: string, message: Uint8Array) => {
      asked++;
      assert.equal(label, "log-pseudonyms");
      return Promise.resolve(new Uint8Array(16).fill(message.length));
    },
  };
  const log = new Pseudonyms("o", hsmPseudonyms(hsm, "log-pseudonyms"));
  assert.equal(await log.of("card", "00C0FFEE"), await log.of("card", "00C0FFEE"));
  assert.equal(asked, 1);
});
