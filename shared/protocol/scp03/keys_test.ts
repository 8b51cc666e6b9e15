import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { aesCbcEncrypt, unpadIso9797M2 } from "shared/crypto/aes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { keyCheckValue } from "./key_check_value.ts";
import {
  cardCryptogram,
  deriveSessionKeys,
  hostCryptogram,
  kdf,
  pseudoRandomCardChallenge,
  type StaticKeys,
} from "./keys.ts";
import { commandMac, decryptField, encryptField, responseMac } from "./secure_messaging.ts";
import { hostSession, type SessionVector } from "./testing/session_vector.ts";

type Primitive = Readonly<Record<string, string>> & { readonly l_bits?: number; readonly counter?: number };

const vectors = loadVector<{
  scp03: SessionVector[];
  scp03_primitives: Primitive[];
  session_keys_kcv: { id: string; scp: string; key: string; context: string; kcv: Record<string, string> }[];
}>("scp_vectors.json");
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const hex = (text: string | undefined) => fromHex(text!);
const secret = (text: string | undefined) => new Secret(hex(text));

function checkPrimitive(v: Primitive): string | undefined {
  switch (v.op) {
    case "kbkdf-cmac":
      return toHex(
        kdf(hex(v.key), parseInt(v.constant!, 16), v.l_bits!, hex(v.host_challenge! + v.card_challenge!)),
      );
    case "c-mac": {
      const plain = hex(v.plain);
      const header = { ins: plain[1]!, p1: plain[2]!, p2: plain[3]! };
      const mac = commandMac(secret(v.key), hex(v.mcv), plain[0]!, header, new Uint8Array(0), 8);
      return `${toHex(plain)}08${toHex(mac.subarray(0, 8))}`;
    }
    case "c-enc":
      return toHex(encryptField(secret(v.key), v.counter!, "command", hex(v.plain)));
    case "r-dec":
      return toHex(unpadIso9797M2(decryptField(secret(v.key), v.counter!, "response", hex(v.cipher))));
    case "pseudo-card-challenge":
      return toHex(
        pseudoRandomCardChallenge(
          secret(v.key),
          hex(v.sequence),
          hex(v.aid),
          v.id!.endsWith("S16") ? "S16" : "S8",
        ),
      );
    case "put-key-encrypt":
      return toHex(aesCbcEncrypt(hex(v.dek), new Uint8Array(16), hex(v.key)));
    case "r-mac": {
      const mac = (response: string) => {
        const bytes = hex(response);
        const sw = parseInt(v.sw!, 16);
        const expected = responseMac(secret(v.key), hex(v.mcv), bytes.subarray(0, -8), sw).subarray(0, 8);
        return toHex(expected) === toHex(bytes.subarray(-8));
      };
      assert.equal(mac(v.bad_response!), false, v.id);
      return mac(v.response!) ? v.output : "wrong R-MAC";
    }
  }
  return undefined;
}

Deno.test("SCP03 primitives agree with scp_vectors.json", () => {
  let checked = 0;
  for (const v of vectors.scp03_primitives) {
    if (v.op === "aes-cmac") continue; // shared/crypto/aes_test.ts
    assert.equal(checkPrimitive(v), v.output ?? v.wrapped, v.id);
    checked++;
  }
  assert.equal(checked, 8);
});

Deno.test("kdf() derives the session keys whose check values are recorded", () => {
  const vector = vectors.session_keys_kcv.find(({ scp }) => scp === "SCP03")!;
  const key = hex(vector.key);
  const check = (constant: number) => toHex(keyCheckValue(kdf(key, constant, 128, hex(vector.context))));
  assert.deepEqual(
    { enc: check(0x04), mac: check(0x06), rmac: check(0x07), dek: toHex(keyCheckValue(key)) },
    vector.kcv,
  );
});

Deno.test("hostCryptogram() and cardCryptogram() agree with every session vector", () => {
  for (const vector of vectors.scp03) {
    const length = vector.mode === "S16" ? 16 : 8;
    const { externalAuthenticate } = hostSession(vector); // has checked the card's cryptogram
    assert.equal(
      toHex(externalAuthenticate.data.subarray(0, length)),
      vector.external_authenticate.capdu.slice(10, 10 + 2 * length),
      vector.id,
    );
  }
  const sMac = secret("11".repeat(16));
  const a = fromHex("0102030405060708");
  const b = fromHex("1112131415161718");
  assert.notDeepEqual(cardCryptogram(sMac, a, b), hostCryptogram(sMac, a, b));
});

Deno.test("deriveSessionKeys() refuses key sets of mixed or other lengths, and challenges of other lengths", () => {
  const keys = (enc: number, mac: number, dek: number): StaticKeys => ({
    enc: new Secret(new Uint8Array(enc)),
    mac: new Secret(new Uint8Array(mac)),
    dek: new Secret(new Uint8Array(dek)),
  });
  const eight = new Uint8Array(8);
  for (const [e, m, d] of [[16, 16, 32], [16, 32, 16], [8, 8, 8], [0, 0, 0], [33, 33, 33]] as const) {
    assert.throws(() => deriveSessionKeys(keys(e, m, d), eight, eight), code("SCP03_KEY_LENGTH"));
  }
  for (const [h, c] of [[8, 16], [16, 8], [0, 0], [7, 7]] as const) {
    assert.throws(
      () => deriveSessionKeys(keys(16, 16, 16), new Uint8Array(h), new Uint8Array(c)),
      code("SCP03_CHALLENGE_LENGTH"),
    );
  }
});
