import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { makeFactoryKeys, readToken } from "./keys.ts";

async function fixture() {
  const directory = await Deno.makeTempDir({ prefix: "rk-keys-" });
  ensureSecretFile(`${directory}/passphrase`);
  const open = () =>
    openSoftwareHsm({
      file: `${directory}/keys.json`,
      passphraseFile: `${directory}/passphrase`,
      logger: createLogger("test", { write: () => {} }),
    });
  return { open, [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }) };
}

const ALL = ["issuer", "transport-master", "upgrade-master", "release", "record"];

Deno.test("makeFactoryKeys() makes what is missing, once, also when two run at once", async () => {
  await using token = await fixture();
  const hsm = await token.open();
  const other = await token.open();
  assert.deepEqual((await readToken(hsm)).missing, ALL);
  await hsm.generateSigningKey("issuer");
  const issuer = toHex(await hsm.publicKey("issuer"));
  const made = (await Promise.all([makeFactoryKeys(hsm), makeFactoryKeys(other)])).flat();
  assert.deepEqual(made.sort(), ALL.filter((label) => label !== "issuer").sort());
  assert.deepEqual(await makeFactoryKeys(hsm), []);
  const read = await readToken(hsm);
  assert.deepEqual(read.missing.concat(read.other), []);
  assert.deepEqual(read.keys.map(({ label }) => label), ALL);
  assert.equal(read.keys[0]!.publicKey, issuer);
  assert.deepEqual(read.keys.map(({ curve }) => curve), ["secp256k1", null, null, "p256", "p256"]);
  for (const key of read.keys) {
    if (key.kind === "master") assert.deepEqual([key.publicKey, key.publicKeySha256], [null, null]);
    else {
      const hash = createHash("sha256").update(fromHex(key.publicKey!)).digest();
      assert.equal(key.publicKeySha256, toHex(hash));
    }
  }
  await Promise.all([hsm.close(), other.close()]);
});

Deno.test("makeFactoryKeys() a label that stands for another kind of key: nothing is made", async () => {
  await using token = await fixture();
  const hsm = await token.open();
  await hsm.generateSigningKey("release"); // on the cards' curve, not on that of packages
  await hsm.generateMasterKey("spare");
  await assert.rejects(makeFactoryKeys(hsm), { code: "HSM_KEY_OTHER", message: /release.*secp256k1.*p256/ });
  assert.deepEqual((await hsm.keys()).map(({ label }) => label), ["release", "spare"]);
  const read = await readToken(hsm);
  assert.deepEqual(read.other, ["release"]);
  assert.equal(read.keys.find(({ label }) => label === "spare")?.purpose, null);
  await hsm.close();
});
