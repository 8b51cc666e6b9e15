import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { refusesWith, testHsmConformance } from "tests/conformance/hsm.ts";
import { ensureSecretFile } from "../secret_file.ts";
import { openSoftwareHsm } from "./software_hsm.ts";

async function fixture() {
  const directory = await Deno.makeTempDir({ prefix: "rk-software-hsm-" });
  const passphraseFile = `${directory}/passphrase`;
  ensureSecretFile(passphraseFile);
  const lines: string[] = [];
  const logger = createLogger("test", { write: (line) => lines.push(line) });
  const options = { file: `${directory}/hsm.json`, passphraseFile, logger };
  return {
    ...options,
    directory,
    lines,
    open: (more = {}) => openSoftwareHsm({ ...options, ...more }),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

testHsmConformance("software HSM", fixture);

Deno.test("openSoftwareHsm() says at every open that it is not for production", async () => {
  await using hsm = await fixture();
  for (let i = 1; i <= 2; i++) {
    await (await hsm.open()).close();
    assert.equal(hsm.lines.length, i);
    const line = JSON.parse(hsm.lines.at(-1)!);
    assert.equal(line.level, "warning");
    assert.match(line.message, /not for production/);
  }
});

Deno.test("openSoftwareHsm() refuses another passphrase, and a passphrase that others can read", async () => {
  await using hsm = await fixture();
  await (await hsm.open()).close();
  const other = `${hsm.directory}/other`;
  ensureSecretFile(other);
  await refusesWith("HSM_PIN", hsm.open({ passphraseFile: other }));
  await refusesWith("SECRET_FILE_MISSING", hsm.open({ passphraseFile: `${hsm.directory}/none` }));
  await Deno.chmod(hsm.passphraseFile, 0o640);
  await refusesWith("SECRET_FILE_OPEN", hsm.open());
});

Deno.test("the key file is 0600, holds no key in the clear, and refuses every changed field", async () => {
  await using hsm = await fixture();
  {
    const open = await hsm.open();
    await open.generateSigningKey("issuer");
    await open.generateMasterKey("master");
    await open.generateSigningKey("release", "p256");
    await open.close();
  }
  assert.equal((await Deno.stat(hsm.file)).mode! & 0o777, 0o600);
  const text = await Deno.readTextFile(hsm.file);
  const passphrase = await Deno.readTextFile(hsm.passphraseFile);
  assert.ok(!text.includes(passphrase));

  const changes: [string, string, (file: ReturnType<typeof JSON.parse>) => void][] = [
    ["label", "SOFTWARE_HSM_FILE", (file) => file.keys[0].label = "renamed"],
    ["curve", "SOFTWARE_HSM_FILE", (file) => file.keys[0].curve = "p256"],
    ["curve taken away", "SOFTWARE_HSM_FILE", (file) => {
      file.keys.reverse();
      delete file.keys[0].curve;
    }],
    ["public key", "SOFTWARE_HSM_FILE", (file) => file.keys[0].publicKey = file.keys[0].key.nonce],
    ["nonce", "SOFTWARE_HSM_FILE", (file) => file.keys[0].key.nonce = file.keys[1].key.nonce],
    ["sealed", "SOFTWARE_HSM_FILE", (file) => file.keys[0].key.sealed = file.keys[1].key.sealed],
    ["serial", "HSM_PIN", (file) => file.serial = "0000000000000000"],
    ["salt", "HSM_PIN", (file) => file.scrypt.salt = file.check.nonce],
    ["version", "SOFTWARE_HSM_FILE", (file) => file.version = 2],
    ["cost", "SOFTWARE_HSM_FILE", (file) => file.scrypt.N = 2 ** 30],
  ];
  for (const [field, code, change] of changes) {
    const file = JSON.parse(text);
    change(file);
    await Deno.writeTextFile(hsm.file, JSON.stringify(file));
    await refusesWith(
      code,
      (async () => {
        const open = await hsm.open();
        try {
          await open.sign(file.keys[0].label, new Uint8Array(1));
        } finally {
          await open.close();
        }
      })().catch((error) => {
        throw Object.assign(error, { message: `${field}: ${error.message}` });
      }),
    );
  }
  await Deno.writeTextFile(hsm.file, text.slice(0, 100));
  await refusesWith("SOFTWARE_HSM_FILE", hsm.open());
});

Deno.test("several openings that start and write at once lose nothing", async () => {
  await using hsm = await fixture();
  const opened = await Promise.all(Array.from({ length: 4 }, () => hsm.open()));
  const serials = new Set((await Promise.all(opened.map((one) => one.describe()))).map((one) => one.serial));
  assert.equal(serials.size, 1);
  await Promise.all(
    opened.flatMap((one, i) => [one.generateMasterKey(`m${i}`), one.generateSigningKey(`s${i}`)]),
  );
  const same = await Promise.allSettled(opened.map((one) => one.generateMasterKey("same")));
  assert.equal(same.filter((one) => one.status === "fulfilled").length, 1);
  assert.equal((await opened[0]!.keys()).length, 9);
  await Promise.all(opened.map((one) => one.close()));
});
