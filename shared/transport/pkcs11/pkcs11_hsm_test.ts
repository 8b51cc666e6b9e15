import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { PKCS11, Template } from "pkcs11js";
import { codeOf } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import { refusesWith, testHsmConformance } from "tests/conformance/hsm.ts";
import { missingComponent } from "tests/environment/component.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";
import type { Hsm } from "../hsm.ts";
import { CKA, CKF, CKK, CKM, CKO, CKU, SECP256K1_PARAMETERS } from "./constants.ts";
import { acquireModule } from "./module.ts";
import { openPkcs11Hsm, type Pkcs11Options } from "./pkcs11_hsm.ts";
import { initToken } from "./init_token.ts";
import { readSecretFile } from "../secret_file.ts";

/** One token folder at a time in this process: SoftHSM reads its configuration when it is initialized. */
async function fixture() {
  const directory = await Deno.makeTempDir({ prefix: "rk-softhsm-" });
  const softHsm = await startSoftHsm({ directory });
  const lines: string[] = [];
  const logger = createLogger("test", { level: "debug", write: (line) => lines.push(line) });
  const opened: Hsm[] = [];
  return {
    ...softHsm,
    directory,
    lines,
    open: async (options: Partial<Pkcs11Options> = {}) => {
      const hsm = await openPkcs11Hsm({ ...softHsm, logger, ...options });
      opened.push(hsm);
      return hsm;
    },
    [Symbol.asyncDispose]: async () => {
      // What a failed test left open would keep the library at this folder for all that follow.
      await Promise.all(opened.map((hsm) => hsm.close()));
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function pkcs11Tool(
  softHsm: { library: string; env: Record<string, string>; pinFile: string },
  args: string[],
) {
  const pin = await Deno.readTextFile(softHsm.pinFile);
  const command = new Deno.Command("pkcs11-tool", {
    args: ["--module", softHsm.library, "--login", "--pin", "env:TEST_PIN", ...args],
    env: { ...softHsm.env, TEST_PIN: pin },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  let output;
  try {
    output = await command.output();
  } catch {
    throw missingComponent("pkcs11-tool", "apt-get install opensc");
  }
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  assert.ok(output.success, text);
  return text;
}

/** Does to the token what this adapter never does: runs raw calls on a session that is logged in. */
async function onRawSession<T>(
  softHsm: { library: string; tokenLabel: string; pinFile: string },
  work: (binding: PKCS11, session: Buffer) => T | Promise<T>,
): Promise<T> {
  const module = await acquireModule(softHsm.library);
  try {
    return await module.call(async (binding) => {
      const { slot } = module.tokens(binding).find((token) => token.label === softHsm.tokenLabel)!;
      const session = binding.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      using pin = readSecretFile(softHsm.pinFile);
      await module.login(session, CKU.USER, pin).catch(() => {});
      try {
        return await work(binding, session);
      } finally {
        binding.C_CloseSession(session);
      }
    });
  } finally {
    await module.release();
  }
}

testHsmConformance("PKCS#11 HSM (SoftHSM2)", fixture);

Deno.test("keys made here cannot be read out: pkcs11-tool sees it, and the public key is the same", async () => {
  await using softHsm = await fixture();
  const hsm = await softHsm.open();
  const publicKey = await hsm.generateSigningKey("issuer");
  await hsm.generateMasterKey("transport");
  const releaseKey = await hsm.generateSigningKey("release", "p256");
  await hsm.close();

  const listing = await pkcs11Tool(softHsm, ["--list-objects"]);
  const objects = listing.split(/\n(?=\S)/);
  const secretKey = objects.find((text) => text.startsWith("Secret Key Object"))!;
  const find = (kind: string, label: string) =>
    objects.find((text) => text.startsWith(kind) && text.includes(label))!;
  const privateKey = find("Private Key Object", "issuer");
  const releasePrivateKey = find("Private Key Object", "release");
  for (
    const [text, label] of [
      [secretKey, "transport"],
      [privateKey, "issuer"],
      [releasePrivateKey, "release"],
    ] as const
  ) {
    assert.ok(text.includes(label));
    assert.match(text, /Access:.*sensitive/);
    assert.match(text, /Access:.*always sensitive/);
    assert.match(text, /Access:.*never extractable/);
    assert.match(text, /Access:.*local/);
  }
  assert.match(privateKey, /Usage:\s+sign\s*$/m);
  assert.match(releasePrivateKey, /Usage:\s+sign\s*$/m);
  assert.match(secretKey, /Usage:\s+(sign|verify|sign, verify)\s*$/m);
  for (const [label, key] of [["issuer", publicKey], ["release", releaseKey]] as const) {
    const publicObject = find("Public Key Object", label);
    assert.ok(publicObject.toLowerCase().includes(key.toHex()), publicObject);
  }
});

Deno.test("openPkcs11Hsm() refuses a key that can be read out", async () => {
  await using softHsm = await fixture();
  const label = (text: string): Template => [
    { type: CKA.LABEL, value: text },
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
  ];
  const ecPublic: Template = [
    ...label("extractable"),
    { type: CKA.EC_PARAMS, value: Buffer.from(SECP256K1_PARAMETERS) },
  ];
  await onRawSession(softHsm, (binding, session) => {
    binding.C_GenerateKeyPair(session, { mechanism: CKM.EC_KEY_PAIR_GEN }, ecPublic, [
      ...label("extractable"),
      { type: CKA.SENSITIVE, value: true },
      { type: CKA.EXTRACTABLE, value: true },
      { type: CKA.SIGN, value: true },
    ]);
    for (
      const [name, sensitive, extractable] of [["open", false, false], ["leaving", true, true]] as const
    ) {
      binding.C_GenerateKey(session, { mechanism: CKM.AES_KEY_GEN }, [
        ...label(name),
        { type: CKA.SENSITIVE, value: sensitive },
        { type: CKA.EXTRACTABLE, value: extractable },
        { type: CKA.SIGN, value: true },
        { type: CKA.VALUE_LEN, value: 32 },
      ]);
    }
  });
  const hsm = await softHsm.open();
  await refusesWith("HSM_KEY_EXTRACTABLE", hsm.sign("extractable", new Uint8Array(1)));
  await refusesWith("HSM_KEY_EXTRACTABLE", hsm.publicKey("extractable"));
  await refusesWith("HSM_KEY_EXTRACTABLE", hsm.cmac("open", new Uint8Array(1)));
  await refusesWith("HSM_KEY_EXTRACTABLE", hsm.cmac("leaving", new Uint8Array(1)));
  await hsm.close();
});

Deno.test("cmac() gives the known answers of SP 800-38B for an imported key", async () => {
  // AES-256 examples of NIST SP 800-38B, appendix D.3 (RFC 4493 has AES-128 alone, and masters are AES-256).
  const key = "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4";
  const message = Uint8Array.fromHex(
    "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411",
  );
  await using softHsm = await fixture();
  await onRawSession(softHsm, (binding, session) => {
    binding.C_CreateObject(session, [
      { type: CKA.CLASS, value: CKO.SECRET_KEY },
      { type: CKA.KEY_TYPE, value: CKK.AES },
      { type: CKA.LABEL, value: "known" },
      { type: CKA.TOKEN, value: true },
      { type: CKA.PRIVATE, value: true },
      { type: CKA.SENSITIVE, value: true },
      { type: CKA.EXTRACTABLE, value: false },
      { type: CKA.SIGN, value: true },
      { type: 0x11, value: Buffer.from(key, "hex") }, // CKA_VALUE
    ]);
  });
  const hsm = await softHsm.open();
  const mac = async (length: number) => (await hsm.cmac("known", message.subarray(0, length))).toHex();
  assert.equal(await mac(0), "028962f61b7bf89efc6b551f4667d983");
  assert.equal(await mac(16), "28a7023f452e8f82bd4bf28d8c37c35c");
  assert.equal(await mac(40), "aaf3d8f1de5640c232f5b169b9c911e6");
  await hsm.close();
});

Deno.test("openPkcs11Hsm() tries a wrong PIN once", async () => {
  await using softHsm = await fixture();
  const wrong = `${softHsm.directory}/wrong`;
  await Deno.writeTextFile(wrong, "not the PIN", { mode: 0o600 });
  await refusesWith("HSM_PIN", softHsm.open({ pinFile: wrong }));
  await Deno.chmod(softHsm.pinFile, 0o644);
  await refusesWith("SECRET_FILE_OPEN", softHsm.open());
  await Deno.chmod(softHsm.pinFile, 0o600);
  await refusesWith("HSM_UNAVAILABLE", softHsm.open({ tokenLabel: "another" }));
  await refusesWith("HSM_LIBRARY", softHsm.open({ library: "/nonexistent.so" }));

  // A PIN that turns wrong while the service runs: one login, then every request is refused without another one.
  const changing = `${softHsm.directory}/changing`;
  await Deno.copyFile(softHsm.pinFile, changing);
  await Deno.chmod(changing, 0o600);
  const hsm = await softHsm.open({ pinFile: changing, sessions: 1 });
  await hsm.generateSigningKey("issuer");
  await Deno.copyFile(wrong, changing);
  await killSessions(softHsm);
  await refusesWith("HSM_PIN", hsm.sign("issuer", new Uint8Array(1)));
  await Deno.copyFile(softHsm.pinFile, changing);
  await refusesWith("HSM_PIN", hsm.sign("issuer", new Uint8Array(1)));
  await hsm.close();
  assert.equal((await softHsm.open()).kind, "pkcs11");
  const pin = await Deno.readTextFile(softHsm.pinFile);
  assert.ok(!softHsm.lines.some((line) => line.includes(pin) || line.includes("not the PIN")));
});

Deno.test("lost sessions are opened again and the signature is given", async () => {
  await using softHsm = await fixture();
  const hsm = await softHsm.open({ sessions: 4 });
  const publicKey = await hsm.generateSigningKey("issuer");
  await Promise.all(Array.from({ length: 8 }, () => hsm.sign("issuer", new Uint8Array(1))));
  for (let round = 0; round < 3; round++) {
    await killSessions(softHsm);
    const signatures = await Promise.all(
      Array.from({ length: 20 }, (_, i) => hsm.sign("issuer", Uint8Array.of(i))),
    );
    for (const [i, signature] of signatures.entries()) {
      assert.ok(ecdsaVerify(publicKey, Uint8Array.of(i), signature));
    }
  }
  assert.ok(softHsm.lines.some((line) => line.includes("hsm.reopened")));
  await hsm.close();
});

Deno.test("a token that vanishes fails as unavailable, and works again when it is back", async () => {
  await using softHsm = await fixture();
  let now = 0;
  const hsm = await softHsm.open({ clock: { now: () => now, monotonic: () => now } });
  const publicKey = await hsm.generateSigningKey("issuer");
  const serial = (await hsm.describe()).serial;

  await Deno.rename(softHsm.tokenDirectory, `${softHsm.tokenDirectory}.away`);
  await Deno.mkdir(softHsm.tokenDirectory);
  for (let i = 0; i < 3; i++) {
    await refusesWith("HSM_UNAVAILABLE", hsm.sign("issuer", new Uint8Array(1)));
    await refusesWith("HSM_UNAVAILABLE", hsm.describe());
    await refusesWith("HSM_UNAVAILABLE", hsm.publicKey("unused before"));
    now += 60_000;
  }
  await Deno.remove(softHsm.tokenDirectory, { recursive: true });
  await Deno.rename(`${softHsm.tokenDirectory}.away`, softHsm.tokenDirectory);
  now += 60_000;

  const signatures = await Promise.all(
    Array.from({ length: 20 }, (_, i) => hsm.sign("issuer", Uint8Array.of(i))),
  );
  for (const [i, signature] of signatures.entries()) {
    assert.ok(ecdsaVerify(publicKey, Uint8Array.of(i), signature));
  }
  assert.equal((await hsm.describe()).serial, serial);
  await refusesWith("HSM_KEY_MISSING", hsm.publicKey("unused before"));
  await hsm.close();
});

Deno.test("a token may vanish in the middle of many requests: each is served or unavailable", async () => {
  await using softHsm = await fixture();
  const hsm = await softHsm.open({ queueLimit: 1024, deadlineMs: 120_000 });
  const publicKey = await hsm.generateSigningKey("issuer");
  const requests = Array.from({ length: 400 }, async (_, i) => {
    if (i === 100) {
      await Deno.rename(softHsm.tokenDirectory, `${softHsm.tokenDirectory}.away`);
      await Deno.mkdir(softHsm.tokenDirectory);
    }
    return ecdsaVerify(publicKey, Uint8Array.of(i % 256), await hsm.sign("issuer", Uint8Array.of(i % 256)));
  });
  for (const one of await Promise.allSettled(requests)) {
    if (one.status === "fulfilled") assert.ok(one.value);
    else assert.equal(codeOf(one.reason), "HSM_UNAVAILABLE");
  }
  await hsm.close();
});

Deno.test("two keys of one label are refused, not chosen between", async () => {
  await using softHsm = await fixture();
  const hsm = await softHsm.open();
  await hsm.generateMasterKey("twice");
  await onRawSession(
    softHsm,
    (binding, session) =>
      binding.C_GenerateKey(session, { mechanism: CKM.AES_KEY_GEN }, [
        { type: CKA.LABEL, value: "twice" },
        { type: CKA.TOKEN, value: true },
        { type: CKA.PRIVATE, value: true },
        { type: CKA.SIGN, value: true },
        { type: CKA.VALUE_LEN, value: 32 },
      ]),
  );
  const later = await softHsm.open();
  await refusesWith("HSM_KEY_AMBIGUOUS", later.cmac("twice", new Uint8Array(1)));
});

Deno.test("initToken() keeps a token that is there and refuses a bad label", async () => {
  await using softHsm = await fixture();
  assert.equal(await initToken(softHsm), "exists");
  await refusesWith("HSM_TOKEN", initToken({ ...softHsm, tokenLabel: "x".repeat(33) }));
  assert.equal(await initToken({ ...softHsm, tokenLabel: "second" }), "made");
  const second = await softHsm.open({ tokenLabel: "second" });
  const first = await softHsm.open();
  await second.generateMasterKey("here");
  assert.deepEqual(await first.keys(), []);
  await second.close();
  await first.close();
});

Deno.test("opening and closing again and again leaves the process well", async () => {
  await using softHsm = await fixture();
  for (let i = 0; i < 25; i++) {
    const hsm: Hsm = await softHsm.open();
    if (i === 0) await hsm.generateSigningKey("issuer");
    const last = hsm.sign("issuer", new Uint8Array(1));
    await Promise.all([last, hsm.sign("issuer", new Uint8Array(2))]);
    await hsm.close();
  }
});

async function killSessions(softHsm: { library: string; tokenLabel: string }): Promise<void> {
  const module = await acquireModule(softHsm.library);
  await module.call((binding) => {
    const { slot } = module.tokens(binding).find((token) => token.label === softHsm.tokenLabel)!;
    binding.C_CloseAllSessions(slot);
  });
  await module.release();
}
