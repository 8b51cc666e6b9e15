import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { loadVector } from "tests/vectors/load.ts";
import { keyCheckValue } from "./key_check_value.ts";

Deno.test("keyCheckValue() agrees with every AES key of scp_vectors.json", () => {
  const { kcv } = loadVector<{ kcv: { id: string; alg: string; key: string; kcv: string }[] }>(
    "scp_vectors.json",
  );
  const aes = kcv.filter(({ alg }) => alg === "AES");
  assert.equal(aes.length, 4);
  for (const vector of aes) {
    assert.equal(toHex(keyCheckValue(fromHex(vector.key))), vector.kcv, vector.id);
    assert.equal(toHex(keyCheckValue(new Secret(fromHex(vector.key)))), vector.kcv, vector.id);
  }
});
