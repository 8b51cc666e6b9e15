/** `rk hsm` and `rk package` as people and scripts run them: each a process under its permission set, on both tokens. */

import assert from "node:assert/strict";
import { createPublicKey, createVerify } from "node:crypto";
import { DENO, REPOSITORY } from "cli/home.ts";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import type { SignedPackage } from "shared/protocol/signed_package/document.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";

const CAP = writeTestCap({ payloadBytes: 500 });
const LABELS = ["issuer", "transport-master", "upgrade-master", "release", "record", "log"];

type Answer = ReturnType<typeof JSON.parse>;

/** Runs `rk ... --json`: exit code, the last line, and everything that was printed. */
async function rk(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(DENO, {
    args: ["run", "--quiet", "--no-check", "-A", `${REPOSITORY}/cli/main.ts`, ...args, "--json"],
    env,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  let answer: Answer;
  try {
    answer = JSON.parse(text.trimEnd().split("\n").at(-1)!);
  } catch {
    throw new Error(`no JSON: ${text}${decoder.decode(stderr)}`);
  }
  return { code, answer, printed: text + decoder.decode(stderr) };
}

/** OpenSSL, through Node: the DAP is a signature of the hash of what is loaded. */
function opensslVerifies(signed: SignedPackage, hash: Uint8Array): boolean {
  const [dap] = signed.signatures;
  const point = fromHex(dap!.publicKey);
  const key = createPublicKey({
    key: {
      kty: "EC",
      crv: "P-256",
      x: point.slice(1, 33).toBase64({ alphabet: "base64url", omitPadding: true }),
      y: point.slice(33).toBase64({ alphabet: "base64url", omitPadding: true }),
    },
    format: "jwk",
  });
  return createVerify("sha256").update(hash).verify(
    { key, dsaEncoding: "ieee-p1363" },
    fromHex(dap!.signature),
  );
}

/** The whole way on one token. */
async function story(folder: string, token: string[], env: Record<string, string>, secretFile: string) {
  const printed: string[] = [];
  const run = async (...args: string[]) => {
    const done = await rk(args, env);
    printed.push(done.printed);
    return done;
  };
  const made = await run("hsm", "init", ...token);
  assert.equal(made.code, 0, made.printed);
  assert.deepEqual(made.answer.made, LABELS);
  assert.ok(made.answer.model && made.answer.serial);
  const again = await run("hsm", "init", ...token);
  assert.deepEqual([again.code, again.answer.made, again.answer.keys], [0, [], made.answer.keys]);
  const status = await run("hsm", "status", ...token);
  assert.deepEqual([status.code, status.answer.ready], [0, true]);
  const { keys } = (await run("hsm", "keys", ...token)).answer;
  assert.deepEqual(keys.map((key: Answer) => key.label), LABELS);
  const release = keys.find((key: Answer) => key.label === "release");
  assert.match(release.publicKey, /^04[0-9A-F]{128}$/);

  const cap = `${folder}/wallet.cap`;
  const out = `${folder}/wallet.signed.json`;
  await Deno.writeFile(cap, CAP);
  const signed = await run("package", "sign", cap, "--out", out, ...token);
  assert.equal(signed.code, 0, signed.printed);
  assert.equal(signed.answer.publicKey, release.publicKey);
  const document = JSON.parse(await Deno.readTextFile(out)) as SignedPackage;
  assert.ok(opensslVerifies(document, readCap(CAP).sha256));
  const verified = await run("package", "verify", out, "--key", release.publicKey);
  assert.deepEqual([verified.code, verified.answer.verified, verified.answer.keyCompared], [0, true, true]);
  const issuer = await run("package", "sign", cap, "--out", out, "--key-label", "issuer", ...token);
  assert.equal(issuer.answer.error.code, "HSM_KEY_MISSING", "the issuer key signs no package");

  const secret = (await Deno.readTextFile(secretFile)).trim();
  assert.ok(printed.every((text) => !text.includes(secret)));
}

Deno.test("rk hsm and rk package on a software HSM", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-package-" });
  try {
    await Deno.mkdir(`${folder}/hsm`);
    const passphrase = `${folder}/passphrase`;
    const token = ["--file", `${folder}/hsm/keys.json`, "--passphrase-file", passphrase];
    const absent = await rk(["hsm", "status", ...token]);
    assert.deepEqual([absent.code, absent.answer.error.code], [6, "HSM_UNAVAILABLE"]);
    const unlocked = await rk(["hsm", "init", ...token]);
    assert.deepEqual([unlocked.code, unlocked.answer.error.code], [3, "SECRET_FILE_MISSING"]);
    ensureSecretFile(passphrase);
    await story(folder, token, {}, passphrase);

    // The same token from a configuration file.
    const config = `${folder}/token.yaml`;
    await Deno.writeTextFile(config, "file: hsm/keys.json\npassphraseFile: passphrase\n");
    const status = await rk(["hsm", "status", "--hsm", config]);
    assert.deepEqual([status.code, status.answer.ready], [0, true]);
    const both = await rk(["hsm", "status", "--hsm", config, ...token]);
    assert.deepEqual([both.code, both.answer.error.code], [3, "TOKEN_CONFIG"]);
    const none = await rk(["hsm", "status"], { RK_HOME: `${folder}/none` });
    assert.deepEqual([none.code, none.answer.error.code], [3, "TOKEN_CONFIG"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("rk hsm and rk package on SoftHSM2 over PKCS#11", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-package-" });
  try {
    const { library, tokenLabel, pinFile, env } = await startSoftHsm({ directory: folder });
    const token = ["--library", library, "--token-label", tokenLabel, "--pin-file", pinFile];
    await story(folder, token, env, pinFile);
    const other = await rk(["hsm", "status", ...token.with(3, "another")], env);
    assert.deepEqual([other.code, other.answer.error.code], [6, "HSM_UNAVAILABLE"]);
    const missing = await rk(["hsm", "status", ...token.with(1, "/nonexistent.so")], env);
    assert.deepEqual([missing.code, missing.answer.error.code], [7, "HSM_LIBRARY"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("rk package sample writes the Recovery Key at a version, the same bytes each time", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-package-" });
  try {
    const out = `${folder}/recovery_key-1.1.cap`;
    const made = await rk(["package", "sample", "1.1", "--out", out]);
    assert.deepEqual([made.code, made.answer.version, made.answer.out], [0, "1.1", out]);
    const expected = writeTestCap({ version: { major: 1, minor: 1 }, payloadBytes: 4000 });
    assert.equal(toHex(await Deno.readFile(out)), toHex(expected));
    const cases: [string[], number, string][] = [
      [["1", "--out", out], 2, "PACKAGE_USAGE"],
      [["1.1", "--out", out, "--bytes", "some"], 2, "PACKAGE_USAGE"],
      [["300.0", "--out", out], 2, "CAP_WRITE"],
    ];
    for (const [args, code, error] of cases) {
      const done = await rk(["package", "sample", ...args]);
      assert.deepEqual([done.code, done.answer.error.code], [code, error], args.join(" "));
    }
    assert.equal(toHex(await Deno.readFile(out)), toHex(expected), "a refusal leaves the file");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("rk package info and verify tell what is wrong, with a code and an exit code", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-package-" });
  try {
    const cap = `${folder}/a.cap`;
    await Deno.writeFile(cap, CAP);
    const info = await rk(["package", "info", cap]);
    const read = readCap(CAP);
    assert.equal(info.code, 0);
    assert.deepEqual([info.answer.packageAid, info.answer.version], [toHex(read.packageAid), "1.0"]);
    assert.deepEqual(info.answer.applets, read.applets.map(toHex));
    assert.equal(info.answer.loadFileDataBlockHash, toHex(read.sha256));
    await Deno.writeFile(`${folder}/b.cap`, CAP.subarray(0, 200));
    const cases: [string[], number, string][] = [
      [["info", `${folder}/b.cap`], 3, "CAP_ZIP"],
      [["info", `${folder}/none.cap`], 3, "PACKAGE_FILE"],
      [["verify", cap], 3, "PACKAGE_FILE"],
      [["verify", cap, "--key", "00"], 3, "PACKAGE_KEY"],
    ];
    for (const [args, code, error] of cases) {
      const done = await rk(["package", ...args]);
      assert.deepEqual([done.code, done.answer.error.code], [code, error], args.join(" "));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
