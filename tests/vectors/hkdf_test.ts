/** HKDF-SHA-256 of the library that keys of attachments are derived with, against Wycheproof. */

import assert from "node:assert/strict";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex } from "shared/base/bytes.ts";
import { loadVector } from "./load.ts";

interface HkdfTest {
  readonly tcId: number;
  readonly ikm: string;
  readonly salt: string;
  readonly info: string;
  readonly size: number;
  readonly okm: string;
  readonly result: "valid" | "invalid";
}

Deno.test("HKDF-SHA-256 judges every test of Wycheproof as it says", () => {
  const { count, data } = loadVector<
    { count: number; data: { testGroups: { tests: HkdfTest[] }[] } }
  >("wycheproof-hkdf_sha256.json");
  let judged = 0;
  for (const { tcId, ikm, salt, info, size, okm, result } of data.testGroups.flatMap(({ tests }) => tests)) {
    const derive = () => hkdf(sha256, fromHex(ikm), fromHex(salt), fromHex(info), size);
    if (result === "valid") assert.deepEqual(derive(), fromHex(okm), `${tcId}`);
    else assert.throws(derive, `${tcId}`);
    judged++;
  }
  assert.equal(judged, count);
});
