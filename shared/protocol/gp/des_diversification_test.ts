import assert from "node:assert/strict";
import { fromHex, toHex } from "../../base/bytes.ts";
import { Secret } from "../../base/secret.ts";
import { aesCmac } from "../../crypto/aes.ts";
import { des3EcbEncrypt } from "../../crypto/des3.ts";
import { loadVector } from "tests/vectors/load.ts";
import { diversifyKdf3 } from "../scp03/diversification.ts";
import { keyCheckValue } from "../scp03/key_check_value.ts";
import { type DesDiversification, desKeyCheckValue, diversifyDes } from "./des_diversification.ts";

interface Row {
  readonly id: string;
  readonly scheme: "kdf3" | DesDiversification;
  readonly master: string;
  readonly kdd: string;
  readonly kcv?: { readonly enc: string; readonly mac: string; readonly dek: string };
  readonly enc?: string;
}

const ROWS = loadVector<{ readonly diversification: Row[] }>("scp_vectors.json").diversification;

Deno.test("diversification gives the check values of all six public vectors", async (t) => {
  assert.equal(ROWS.length, 6);
  for (const row of ROWS) {
    await t.step(row.id, async () => {
      const master = fromHex(row.master);
      const kdd = fromHex(row.kdd);
      const des = row.scheme !== "kdf3";
      const keys = row.scheme === "kdf3"
        ? await diversifyKdf3((input) => Promise.resolve(aesCmac(master, input)), kdd, master.length)
        : diversifyDes(row.scheme, new Secret(master), kdd);
      const check = (key: Secret) => toHex(des ? desKeyCheckValue(key) : keyCheckValue(key));
      if (row.enc) assert.equal(toHex(keys.enc.reveal()), row.enc);
      if (row.kcv) {
        assert.deepEqual({ enc: check(keys.enc), mac: check(keys.mac), dek: check(keys.dek) }, row.kcv);
      }
      assert.ok(row.enc ?? row.kcv);
    });
  }
});

Deno.test("diversifyDes() and des3EcbEncrypt() refuse other lengths", () => {
  const master = new Secret(new Uint8Array(16));
  assert.throws(() => diversifyDes("emv", new Secret(new Uint8Array(24)), new Uint8Array(10)), {
    code: "GP_DIVERSIFICATION",
  });
  assert.throws(() => diversifyDes("visa2", master, new Uint8Array(9)), { code: "GP_DIVERSIFICATION" });
  assert.throws(() => des3EcbEncrypt(new Uint8Array(24), new Uint8Array(8)), { code: "CRYPTO_LENGTH" });
  assert.throws(() => des3EcbEncrypt(new Uint8Array(16), new Uint8Array(7)), { code: "CRYPTO_LENGTH" });
});

Deno.test("des3EcbEncrypt() encrypts each block by itself", () => {
  const key = fromHex("0123456789ABCDEFFEDCBA9876543210");
  const block = fromHex("4E6F772069732074");
  const one = toHex(des3EcbEncrypt(key, block));
  assert.equal(toHex(des3EcbEncrypt(key, fromHex(toHex(block).repeat(3)))), one.repeat(3));
});
