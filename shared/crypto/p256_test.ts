import assert from "node:assert/strict";
import { CodedError } from "../base/errors.ts";
import { fromHex, toHex, toUtf8 } from "../base/bytes.ts";
import { Secret } from "../base/secret.ts";
import {
  generateP256PrivateKey,
  isP256PublicKey,
  p256DerToRaw,
  p256PublicKeyOf,
  p256RawToLowSDer,
  p256Sign,
  p256Verify,
  p256VerifyRaw,
} from "./p256.ts";

/** RFC 6979, A.2.5: P-256 with SHA-256, message "sample". */
const RFC6979 = {
  key: "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
  x: "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
  y: "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
  r: "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
  s: "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
};
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

Deno.test("p256Sign() RFC 6979 A.2.5, with S in the lower half", () => {
  using key = new Secret(fromHex(RFC6979.key));
  const publicKey = p256PublicKeyOf(key);
  assert.equal(toHex(publicKey), `04${RFC6979.x}${RFC6979.y}`);
  const raw = toHex(p256DerToRaw(p256Sign(key, toUtf8("sample"))));
  assert.equal(raw.slice(0, 64), RFC6979.r);
  assert.equal(BigInt(`0x${raw.slice(64)}`), ORDER - BigInt(`0x${RFC6979.s}`));
  const high = fromHex(RFC6979.r + RFC6979.s);
  assert.ok(p256VerifyRaw(publicKey, toUtf8("sample"), high));
  assert.ok(!p256VerifyRaw(publicKey, toUtf8("sample"), high, { lowS: true }));
  assert.equal(toHex(p256DerToRaw(p256RawToLowSDer(high))), raw);
});

Deno.test("p256VerifyRaw() and p256Sign() agree with Web Crypto", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
  const hash = { name: "ECDSA", hash: "SHA-256" } as const;
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const message = toUtf8("hash of a load file");
  for (let i = 0; i < 8; i++) {
    const theirs = new Uint8Array(await crypto.subtle.sign(hash, pair.privateKey, message as BufferSource));
    assert.ok(p256VerifyRaw(publicKey, message, theirs));
  }
  using key = generateP256PrivateKey(random);
  const ours = p256PublicKeyOf(key);
  const imported = await crypto.subtle.importKey("raw", ours as BufferSource, algorithm, false, ["verify"]);
  const raw = p256DerToRaw(p256Sign(key, message)) as Uint8Array<ArrayBuffer>;
  assert.ok(await crypto.subtle.verify(hash, imported, raw, message as BufferSource));
});

Deno.test("p256Verify() refuses every flipped byte, other keys and other encodings", () => {
  using key = generateP256PrivateKey(random);
  using other = generateP256PrivateKey(random);
  const publicKey = p256PublicKeyOf(key);
  const message = toUtf8("message");
  const der = p256Sign(key, message);
  const raw = p256DerToRaw(der);
  assert.ok(p256Verify(publicKey, message, der) && p256VerifyRaw(publicKey, message, raw, { lowS: true }));
  for (let i = 0; i < der.length; i++) assert.ok(!p256Verify(publicKey, message, der.with(i, der[i]! ^ 1)));
  for (let i = 0; i < raw.length; i++) {
    assert.ok(!p256VerifyRaw(publicKey, message, raw.with(i, raw[i]! ^ 1)));
  }
  assert.ok(!p256Verify(p256PublicKeyOf(other), message, der));
  assert.ok(!p256Verify(publicKey, message, raw) && !p256VerifyRaw(publicKey, message, der));
  assert.ok(!p256VerifyRaw(publicKey, message, new Uint8Array(64)));
  assert.ok(!isP256PublicKey(new Uint8Array(65)) && !isP256PublicKey(publicKey.with(64, publicKey[64]! ^ 1)));
  assert.throws(() => p256DerToRaw(raw), (error) => (error as CodedError).code === "CRYPTO_SIGNATURE");
  assert.throws(() => p256RawToLowSDer(der), (error) => (error as CodedError).code === "CRYPTO_SIGNATURE");
});

Deno.test("generateP256PrivateKey() a broken source and a number out of range are refused", () => {
  assert.throws(() => generateP256PrivateKey((length) => new Uint8Array(length)), {
    code: "CRYPTO_KEY",
  });
  assert.throws(() => p256PublicKeyOf(new Secret(new Uint8Array(32).fill(0xff))), { code: "CRYPTO_KEY" });
});
