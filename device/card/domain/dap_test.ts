import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { getStatusCommand } from "shared/protocol/gp/get_status.ts";
import { installForInstall, installForLoad } from "shared/protocol/gp/install.ts";
import type { DapBlock } from "shared/protocol/gp/load.ts";
import { type PublicKey, putPublicKeyCommands } from "shared/protocol/gp/public_key.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import {
  DAP_AID,
  ISD_AID,
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  SSD_AID,
} from "../constants.ts";
import { type CardBench, cardBench, installDomain, loadCap, ok, statusOf } from "../testing/bench.ts";

const CAP = writeTestCap();
const { sha256: HASH, loadFileDataBlock: BLOCK } = readCap(CAP);

interface Signer {
  readonly name: string;
  readonly key: PublicKey;
  sign(hash: Uint8Array): Uint8Array;
}

const decode = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? "", "base64url"));

function ecSigner(name: string, dsaEncoding: "ieee-p1363" | "der"): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x, y } = publicKey.export({ format: "jwk" });
  return {
    name,
    key: { kind: "ec-p256", point: Uint8Array.of(4, ...decode(x), ...decode(y)) },
    sign: (hash) => new Uint8Array(sign("sha256", hash, { key: privateKey, dsaEncoding })),
  };
}

function rsaSigner(name: string, padding: { padding?: number; saltLength?: number }): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { n, e } = (publicKey as KeyObject).export({ format: "jwk" });
  return {
    name,
    key: { kind: "rsa", modulus: decode(n), exponent: decode(e) },
    sign: (hash) => new Uint8Array(sign("sha256", hash, { key: privateKey, ...padding })),
  };
}

const SIGNERS: readonly Signer[] = [
  ecSigner("P-256, r || s", "ieee-p1363"),
  ecSigner("P-256, DER", "der"),
  rsaSigner("RSA-2048, PKCS #1 v1.5", {}),
  rsaSigner("RSA-2048, PSS", { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
];

const dap = (signature: Uint8Array, securityDomainAid = DAP_AID): DapBlock => ({
  securityDomainAid,
  signature,
});

/** A card whose DAP domain is installed and keyed over the air. */
async function signedCard(
  key: PublicKey,
  privileges: number = PRIVILEGE.MANDATED_DAP_VERIFICATION,
): Promise<CardBench> {
  const bench = await cardBench();
  await ok((await bench.issuer()).send(installDomain(DAP_AID, privileges)));
  await bench.select(DAP_AID);
  const channel = await bench.open();
  for (const put of putPublicKeyCommands({ newVersion: 0x73, id: 1, key })) await ok(channel.send(put));
  return bench;
}

function optionsFor(key: PublicKey) {
  return key.kind === "rsa"
    ? { modulus: toHex(key.modulus), exponent: toHex(key.exponent) }
    : { point: toHex(key.point) };
}

Deno.test("Mandated DAP lets only load files through that carry the right signature", async () => {
  for (const signer of SIGNERS) {
    const other = SIGNERS.find((one) => one !== signer && one.key.kind === signer.key.kind)!;
    const good = signer.sign(HASH);
    for (
      const bench of [
        await signedCard(signer.key),
        await cardBench({ dapKey: { key: optionsFor(signer.key) } }),
      ]
    ) {
      const load = async (options: Parameters<typeof loadCap>[2]) =>
        await loadCap(await bench.issuer(), CAP, options);
      const altered = BLOCK.slice();
      altered[altered.length - 1]! ^= 1;
      assert.equal(await load({}), "6985", `${signer.name}: no hash`);
      assert.equal(await load({ hash: new Uint8Array(20) }), "6985", "SHA-1");
      assert.equal(await load({ hash: HASH }), "6985", "unsigned");
      assert.equal(await load({ hash: HASH, dap: [dap(other.sign(HASH))] }), "6982", "by another key");
      assert.equal(
        await load({ hash: HASH, dap: [dap(signer.sign(new Uint8Array(32)))] }),
        "6982",
        "over another hash",
      );
      assert.equal(await load({ hash: HASH, dap: [dap(new Uint8Array(0))] }), "6982", "empty");
      assert.equal(await load({ hash: HASH, dap: [dap(good, SSD_AID)] }), "6985", "for another domain");
      assert.equal(
        await load({ hash: HASH, dap: [dap(good), dap(good, SSD_AID)] }),
        "6A88",
        "a second, for nobody",
      );
      assert.equal(await load({ hash: HASH, dap: [dap(good)], content: altered }), "6A80", "altered");
      const step = Math.ceil(good.length / 16);
      for (let at = 0; at < good.length; at += step) {
        const changed = good.slice();
        changed[at]! ^= 0x01;
        assert.equal(await load({ hash: HASH, dap: [dap(changed)] }), "6982", `signature byte ${at}`);
      }
      assert.equal(await load({ hash: HASH, dap: [dap(good)] }), "9000", signer.name);
      // What was refused has left nothing: the package is there once, and its applet installs.
      const install = installForInstall({
        packageAid: RECOVERY_KEY_PACKAGE_AID,
        moduleAid: RECOVERY_KEY_MODULE_AID,
        instanceAid: RECOVERY_KEY_MODULE_AID,
      });
      await ok((await bench.issuer()).send(install));
    }
  }
});

Deno.test("DAP without mandate checks only what is loaded for its domain", async () => {
  const [signer] = SIGNERS;
  const bench = await signedCard(signer!.key, PRIVILEGE.DAP_VERIFICATION);
  const channel = await bench.issuer();
  assert.equal(await loadCap(channel, CAP), "9000", "for the issuer");
  await ok(channel.send(deleteCommand(RECOVERY_KEY_PACKAGE_AID)));
  assert.equal(await loadCap(channel, CAP, { domain: DAP_AID, hash: HASH }), "6985");
  assert.equal(
    await loadCap(channel, CAP, { hash: HASH, dap: [dap(new Uint8Array(64))] }),
    "6982",
    "wrong anyway",
  );
  assert.equal(
    await loadCap(channel, CAP, { domain: DAP_AID, hash: HASH, dap: [dap(signer!.sign(HASH))] }),
    "9000",
  );
});

Deno.test("the issuer domain checks load files itself when the key is its own", async () => {
  for (const signer of SIGNERS) {
    const bench = await cardBench({ dapKey: { aid: toHex(ISD_AID), key: optionsFor(signer.key) } });
    const channel = await bench.issuer();
    assert.equal(await loadCap(channel, CAP, { hash: HASH }), "6985", signer.name);
    assert.equal(
      await loadCap(channel, CAP, { hash: HASH, dap: [dap(new Uint8Array(64), ISD_AID)] }),
      "6982",
    );
    assert.equal(await loadCap(channel, CAP, { hash: HASH, dap: [dap(signer.sign(HASH), ISD_AID)] }), "9000");
    assert.equal(toHex(await ok(channel.send(getStatusCommand(0x80)))).includes("C503DFFE80"), true);
  }
  // Without a key and the privilege it is not asked.
  const channel = await (await cardBench()).issuer();
  assert.equal(await loadCap(channel, CAP, { hash: HASH, dap: [dap(new Uint8Array(64), ISD_AID)] }), "9000");
});

Deno.test("Mandated DAP of a domain that is locked or has no key lets nothing through", async () => {
  const [signer] = SIGNERS;
  const bench = await signedCard(signer!.key);
  const channel = await bench.issuer();
  const good = { hash: HASH, dap: [dap(signer!.sign(HASH))] };
  await ok(channel.send(setStatusCommand(0x40, 0x80, DAP_AID)));
  assert.equal(await loadCap(channel, CAP, good), "6985");
  await ok(channel.send(setStatusCommand(0x40, 0x00, DAP_AID)));
  await ok(channel.send(deleteCommand(DAP_AID)));
  await ok(channel.send(installDomain(DAP_AID, PRIVILEGE.MANDATED_DAP_VERIFICATION)));
  assert.equal(await loadCap(channel, CAP, good), "6985");
  await ok(channel.send(deleteCommand(DAP_AID)));
  assert.equal(
    await statusOf(channel.send(installForLoad({ packageAid: RECOVERY_KEY_PACKAGE_AID }))),
    "9000",
  );
  assert.equal(await loadCap(channel, CAP, good), "6A88", "the block names a domain that is gone");
});

Deno.test("a point off the curve is stored and verifies nothing", async () => {
  const point = fromHex("04" + "11".repeat(64));
  const bench = await signedCard({ kind: "ec-p256", point });
  const load = { hash: HASH, dap: [dap(SIGNERS[0]!.sign(HASH))] };
  assert.equal(await loadCap(await bench.issuer(), CAP, load), "6982");
});
