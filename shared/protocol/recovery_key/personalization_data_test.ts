import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { publicKeyOf } from "shared/crypto/secp256k1.ts";
import { parseDgi } from "shared/protocol/tlv/dgi.ts";
import { personalizationData } from "./personalization_data.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const values = () => ({
  serial: Uint8Array.of(0xde, 0xad, 0xbe, 0xef),
  attestationKey: new Secret(new Uint8Array(32).fill(3)),
  issuerPublicKey: publicKeyOf(new Uint8Array(32).fill(4)),
});

Deno.test("personalizationData() gives the four groupings in the recorded order", () => {
  const [reference, ...rest] = personalizationData(values());
  assert.equal(toHex(reference!), "00B99501028001B1810120820121830101");
  const groups = rest.map((data) => parseDgi(data));
  assert.deepEqual(groups.map(({ dgi }) => dgi), [0x0002, 0x8137, 0x0036]);
  assert.deepEqual(groups.map(({ value }) => value.length), [4, 32, 65]);
});

Deno.test("personalizationData() refuses what the card would store without a look", () => {
  const good = values();
  const wrong = [
    { ...good, serial: new Uint8Array(3) },
    { ...good, attestationKey: new Secret(new Uint8Array(31)) },
    { ...good, issuerPublicKey: good.issuerPublicKey.with(64, good.issuerPublicKey[64]! ^ 1) },
    { ...good, issuerPublicKey: new Uint8Array(65) },
  ];
  for (const value of wrong) assert.throws(() => personalizationData(value), code("RK_FIELD"));
});
