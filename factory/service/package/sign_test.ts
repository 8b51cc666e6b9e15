import assert from "node:assert/strict";
import { unzipSync, zipSync } from "fflate";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { dapBytes, statementBytes } from "shared/protocol/signed_package/document.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { signPackage } from "./sign.ts";

const CAP = writeTestCap({ payloadBytes: 200 });

Deno.test("signPackage() signs two messages of its own making, with a key that stays in the HSM", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-sign-" });
  ensureSecretFile(`${directory}/passphrase`);
  const hsm = await openSoftwareHsm({
    file: `${directory}/keys.json`,
    passphraseFile: `${directory}/passphrase`,
    logger: createLogger("test", { write: () => {} }),
  });
  const options = {
    hsm,
    keyLabel: "release",
    cap: CAP,
    securityDomainAid: fromHex("A000000151000000"),
    clock: { now: () => 0 },
  };
  try {
    await assert.rejects(signPackage(options), { code: "HSM_KEY_MISSING" });
    const releaseKey = await hsm.generateSigningKey("release", "p256");
    await hsm.generateSigningKey("issuer");
    await assert.rejects(signPackage({ ...options, keyLabel: "issuer" }), { code: "HSM_KEY_MISSING" });

    const messages: string[] = [];
    const watched = {
      publicKey: (label: string) => hsm.publicKey(label),
      sign: (label: string, message: Uint8Array) => {
        messages.push(toHex(message));
        return hsm.sign(label, message);
      },
    };
    const signed = await signPackage({ ...options, hsm: watched });
    verifySignedPackage(signed, readCap(CAP), releaseKey);
    assert.deepEqual(messages, [dapBytes(signed), statementBytes(signed, signed.signatures[1]!)].map(toHex));

    const files = unzipSync(CAP);
    files["test/javacard/Method.cap"]![0] = 9;
    const irregular = zipSync(files);
    readCap(irregular);
    messages.length = 0;
    await assert.rejects(signPackage({ ...options, hsm: watched, cap: irregular }), {
      code: "CAP_COMPONENT",
    });
    const none = signPackage({ ...options, hsm: watched, cap: new Uint8Array(10) });
    await assert.rejects(none, { code: "CAP_ZIP" });
    assert.deepEqual(messages, []);
    // A token that signs with another key than it shows never yields a file.
    const liar = { publicKey: watched.publicKey, sign: () => hsm.sign("issuer", new Uint8Array(1)) };
    await assert.rejects(signPackage({ ...options, hsm: liar }), { code: "PACKAGE_SIGNATURE" });
  } finally {
    await hsm.close();
    await Deno.remove(directory, { recursive: true });
  }
});
