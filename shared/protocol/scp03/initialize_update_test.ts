import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { encodeInitializeUpdate, parseInitializeUpdate } from "./initialize_update.ts";
import type { SessionVector } from "./testing/session_vector.ts";

const { scp03 } = loadVector<{ scp03: SessionVector[] }>("scp_vectors.json");
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

Deno.test("parseInitializeUpdate() and encodeInitializeUpdate() agree with every session vector", () => {
  for (const vector of scp03) {
    const data = fromHex(vector.initialize_update.rapdu_data);
    const parsed = parseInitializeUpdate(data, vector.mode);
    assert.equal(parsed.s16, vector.mode === "S16", vector.id);
    assert.equal(parsed.i, parseInt(vector.i_param, 16), vector.id);
    assert.equal(toHex(encodeInitializeUpdate(parsed)), vector.initialize_update.rapdu_data, vector.id);
    assert.throws(
      () => parseInitializeUpdate(data, vector.mode === "S16" ? "S8" : "S16"),
      code("SCP03_MALFORMED"),
      vector.id,
    );
  }
});

Deno.test("parseInitializeUpdate() inverts encodeInitializeUpdate() for every i parameter", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const answer = fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 })).chain(([i, keyVersion]) => {
    const length = (i & 1) !== 0 ? 16 : 8;
    return fc.record({
      keyDiversificationData: bytes(10),
      keyVersion: fc.constant(keyVersion),
      scpId: fc.constant(3),
      i: fc.constant(i),
      cardChallenge: bytes(length),
      cardCryptogram: bytes(length),
      ...((i & 0x10) !== 0 ? { sequenceCounter: bytes(3) } : {}),
    });
  });
  fc.assert(fc.property(answer, (value) => {
    const { s16, ...rest } = parseInitializeUpdate(encodeInitializeUpdate(value));
    assert.equal(s16, value.cardChallenge.length === 16);
    assert.deepEqual(rest, { ...value });
  }));
});

Deno.test("parseInitializeUpdate() refuses every other length, and every other SCP", () => {
  const good = fromHex(scp03[0]!.initialize_update.rapdu_data);
  for (let length = 0; length <= 64; length++) {
    if (length === good.length) continue;
    const data = new Uint8Array(length);
    data.set(good.subarray(0, length));
    assert.throws(() => parseInitializeUpdate(data), code("SCP03_MALFORMED"), `${length}`);
  }
  for (const scp of [0x01, 0x02, 0x11]) {
    const data = good.slice();
    data[11] = scp;
    assert.throws(() => parseInitializeUpdate(data), code("SCP03_PROTOCOL"));
  }
});
