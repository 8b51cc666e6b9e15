import assert from "node:assert/strict";
import { fromHex, toHex, toUtf8 } from "../../base/bytes.ts";
import { codeOf } from "../../base/errors.ts";
import { generateP256PrivateKey, p256DerToRaw, p256PublicKeyOf, p256Sign } from "../../crypto/p256.ts";
import { readCap } from "../cap/reader.ts";
import { writeTestCap } from "../cap/writer.ts";
import { encodeLoadFile } from "../gp/load.ts";
import { parseLoadFile } from "../gp/load_parser.ts";
import {
  dapBytes,
  encodeSignedPackage,
  parseSignedPackage,
  type SignedPackage,
  statementBytes,
} from "./document.ts";
import { packagePaths } from "./names.ts";
import { packageStatement } from "./statement.ts";
import { verifySignedPackage } from "./verify.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const KEY = generateP256PrivateKey(random);
const PUBLIC = p256PublicKeyOf(KEY);
const OTHER = generateP256PrivateKey(random);
const DOMAIN = fromHex("A000000151000000");
const BYTES = writeTestCap({ payloadBytes: 300 });
const CAP = readCap(BYTES);

function sign(cap = CAP, key = KEY, keyLabel = "release"): SignedPackage {
  const statement = packageStatement(cap, DOMAIN, Date.UTC(2026, 0, 2, 3, 4, 5));
  const signer = { keyLabel, publicKey: toHex(p256PublicKeyOf(key)) };
  const raw = (message: Uint8Array) => toHex(p256DerToRaw(p256Sign(key, message)));
  return {
    ...statement,
    signatures: [
      { ...signer, algorithm: "gp-dap-ecdsa-p256-sha256", signature: raw(dapBytes(statement)) },
      {
        ...signer,
        algorithm: "statement-ecdsa-p256-sha256",
        signature: raw(statementBytes(statement, signer)),
      },
    ],
  };
}

type Changed = ReturnType<typeof JSON.parse>;

/** The code with which the changed text of a file is refused; undefined when it passes. */
function verdict(change: (value: Changed) => void, cap = CAP, key = PUBLIC): string | undefined {
  const value: Changed = JSON.parse(encodeSignedPackage(sign()));
  change(value);
  try {
    verifySignedPackage(parseSignedPackage(JSON.stringify(value)), cap, key);
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

Deno.test("verifySignedPackage() passes what was signed, and its DAP goes in front of the load file", async () => {
  const verified = verifySignedPackage(parseSignedPackage(encodeSignedPackage(sign())), CAP, PUBLIC);
  assert.equal(verified.keyLabel, "release");
  assert.equal(verified.signedAt, "2026-01-02T03:04:05.000Z");
  const loaded = parseLoadFile(encodeLoadFile(CAP.loadFileDataBlock, [verified.dapBlock]));
  assert.equal(toHex(loaded.dapBlocks[0]!.securityDomainAid), toHex(DOMAIN));
  // As a card computes it, with an implementation that is not ours.
  const hash = await crypto.subtle.digest("SHA-256", loaded.loadFileDataBlock as Uint8Array<ArrayBuffer>);
  const key = await crypto.subtle.importKey(
    "raw",
    PUBLIC as Uint8Array<ArrayBuffer>,
    { name: "ECDSA", namedCurve: "P-256" },
    false,
    ["verify"],
  );
  const signature = loaded.dapBlocks[0]!.signature as Uint8Array<ArrayBuffer>;
  assert.equal(signature.length, 64);
  assert.ok(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, hash));
});

/** Every field of the file, a change that keeps its form, and the code. `signatures.0` is the DAP, `.1` the statement. */
const MUTATIONS: readonly (readonly [string, unknown, string])[] = [
  ["format", "other-signed-package", "PACKAGE_FORMAT"],
  ["formatVersion", 2, "PACKAGE_FORMAT"],
  ["capSha256", "flip", "PACKAGE_ALTERED"],
  ["loadFileDataBlockHash", "flip", "PACKAGE_HASH"],
  ["packageAid", "flip", "PACKAGE_AID"],
  ["packageName", "other", "PACKAGE_NAME"],
  ["version", "1.1", "PACKAGE_VERSION"],
  ["securityDomainAid", "flip", "PACKAGE_SIGNATURE"],
  ["signedAt", "2026-01-02T03:04:06.000Z", "PACKAGE_SIGNATURE"],
  ["signatures.0.keyLabel", "other", "PACKAGE_SIGNATURE"],
  ["signatures.0.publicKey", "flip", "PACKAGE_KEY"],
  ["signatures.0.algorithm", "statement-ecdsa-p256-sha256", "PACKAGE_KEY"],
  ["signatures.0.signature", "flip", "PACKAGE_SIGNATURE"],
  ["signatures.1.keyLabel", "other", "PACKAGE_SIGNATURE"],
  ["signatures.1.publicKey", "flip", "PACKAGE_KEY"],
  ["signatures.1.algorithm", "gp-dap-ecdsa-p256-sha256", "PACKAGE_KEY"],
  ["signatures.1.signature", "flip", "PACKAGE_SIGNATURE"],
];

function leaves(value: unknown, path: string[] = []): string[] {
  if (typeof value !== "object" || value === null) return [path.join(".")];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

function put(value: Changed, path: string, change: (old: unknown) => unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  let at = value;
  for (const key of keys) at = at[key];
  at[last] = change(at[last]);
  if (at[last] === undefined) delete at[last];
}

Deno.test("verifySignedPackage() every changed field is refused with its code", () => {
  assert.deepEqual(MUTATIONS.map(([path]) => path).sort(), leaves(sign()).sort());
  for (const [path, to, code] of MUTATIONS) {
    if (to !== "flip") {
      assert.equal(verdict((value) => put(value, path, () => to)), code, path);
      continue;
    }
    // Every digit, so that no byte of any value is without a say.
    const length = sign();
    const text = path.split(".").reduce((at: Changed, key) => at[key], length) as string;
    for (let i = 0; i < text.length; i++) {
      const flipped = text.slice(0, i) + (text[i] === "0" ? "1" : "0") + text.slice(i + 1);
      assert.equal(verdict((value) => put(value, path, () => flipped)), code, `${path} digit ${i}`);
    }
  }
});

Deno.test("parseSignedPackage() refuses a missing, an added and a misspelt field", () => {
  for (const path of leaves(sign())) {
    const code = path === "packageName" ? "PACKAGE_NAME" : "PACKAGE_FORMAT";
    assert.equal(verdict((value) => put(value, path, () => undefined)), code, path);
    assert.equal(verdict((value) => put(value, path, () => null)), "PACKAGE_FORMAT", path);
  }
  assert.equal(verdict((value) => value.more = 1), "PACKAGE_FORMAT");
  assert.equal(verdict((value) => value.signatures[0].more = 1), "PACKAGE_FORMAT");
  assert.equal(
    verdict((value) => value.capSha256 = value.capSha256.toLowerCase()),
    "PACKAGE_FORMAT",
  );
  assert.equal(verdict((value) => value.packageName = "a\x1b[2J"), "PACKAGE_FORMAT");
  assert.equal(verdict((value) => value.version = "01.0"), "PACKAGE_FORMAT");
  assert.equal(verdict((value) => value.signatures = []), "PACKAGE_UNSIGNED");
  for (const text of ["", "{", "null", "[]", "1"]) {
    assert.throws(() => parseSignedPackage(text), { code: "PACKAGE_FORMAT" });
  }
});

Deno.test("verifySignedPackage() another key, one signature of two, two of one kind, the other half of S", () => {
  assert.equal(verdict(() => {}), undefined);
  assert.equal(verdict(() => {}, CAP, p256PublicKeyOf(OTHER)), "PACKAGE_KEY");
  assert.equal(verdict((value) => value.signatures.pop()), "PACKAGE_KEY");
  assert.equal(verdict((value) => value.signatures.shift()), "PACKAGE_KEY");
  assert.equal(verdict((value) => value.signatures.push(value.signatures[0])), "PACKAGE_KEY");
  // The order and other signers beside the release key do not matter.
  assert.equal(verdict((value) => value.signatures.reverse()), undefined);
  assert.equal(verdict((value) => value.signatures.push(...sign(CAP, OTHER).signatures)), undefined);
  // DAP and statement are signatures of different messages by one key: neither passes as the other.
  assert.equal(
    verdict(({ signatures: [dap, statement] }) => {
      [dap.signature, statement.signature] = [statement.signature, dap.signature];
    }),
    "PACKAGE_SIGNATURE",
  );
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  for (const i of [0, 1]) {
    assert.equal(
      verdict(({ signatures }) => {
        const { signature } = signatures[i];
        const high = (order - BigInt(`0x${signature.slice(64)}`)).toString(16).padStart(64, "0");
        signatures[i].signature = signature.slice(0, 64) + high.toUpperCase();
      }),
      "PACKAGE_SIGNATURE",
    );
  }
});

Deno.test("verifySignedPackage() another CAP file beside the signatures", () => {
  const cap = (change: Parameters<typeof writeTestCap>[0]) =>
    readCap(writeTestCap({ payloadBytes: 300, ...change }));
  assert.equal(verdict(() => {}, cap({ version: { major: 1, minor: 1 } })), "PACKAGE_VERSION");
  assert.equal(verdict(() => {}, cap({ packageAid: fromHex("A0000000620302") })), "PACKAGE_AID");
  assert.equal(verdict(() => {}, cap({ payloadBytes: 301 })), "PACKAGE_HASH");
  // The same components, packed otherwise: what is loaded is the same, the file is not.
  assert.equal(verdict(() => {}, cap({ compressed: false })), "PACKAGE_ALTERED");
});

Deno.test("statementBytes() no DAP message is a statement, and every field is in it", () => {
  const signed = sign();
  const text = new TextDecoder().decode(statementBytes(signed, signed.signatures[0]!));
  assert.ok(text.startsWith("recovery-key signed package, version 1\n{"));
  for (const path of leaves(signed)) {
    if (!path.startsWith("signatures.")) assert.ok(text.includes(`"${path}":`), path);
  }
  assert.ok(toUtf8(text).length > dapBytes(signed).length);
});

Deno.test("packagePaths() finds one file from the other", () => {
  const both = { cap: "/a/b.cap", signed: "/a/b.signed.json" };
  assert.deepEqual(packagePaths(both.cap), both);
  assert.deepEqual(packagePaths(both.signed), both);
});
