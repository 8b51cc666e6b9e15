/** What every adapter of the HSM port must do. Each adapter's test runs this suite over its own tokens. */

import assert from "node:assert/strict";
import { p256 } from "@noble/curves/nist.js";
import { toUtf8 } from "shared/base/bytes.ts";
import { codeOf, errorRow } from "shared/base/errors.ts";
import { ed25519Verify, isEd25519PublicKey } from "shared/crypto/ed25519.ts";
import { isP256PublicKey, p256Verify } from "shared/crypto/p256.ts";
import { ecdsaVerify, normalizeLowS } from "shared/crypto/secp256k1.ts";
import { type Hsm, SEAL_OVERHEAD } from "shared/transport/hsm.ts";

/** Opens one and the same token again and again. */
export interface HsmUnderTest extends AsyncDisposable {
  open(options?: { queueLimit?: number; deadlineMs?: number }): Promise<Hsm>;
}

/** Asserts that a promise is refused with a code. */
export async function refusesWith(code: string, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.equal(codeOf(error), code, String(error));
    assert.notEqual(errorRow(code), errorRow("INTERNAL"), `${code} is in no table`);
    return true;
  });
}

/** Declares the suite; `prepare` gives a fresh token. */
export function testHsmConformance(name: string, prepare: () => Promise<HsmUnderTest>): void {
  Deno.test(`${name} keeps the contract of the HSM port`, async (t) => {
    await using under = await prepare();
    let publicKey = new Uint8Array();

    await t.step("an empty token lists no keys and describes itself", async () => {
      await using hsm = closing(await under.open());
      assert.deepEqual(await hsm.keys(), []);
      const described = await hsm.describe();
      assert.equal(described.kind, hsm.kind);
      assert.match(described.serial, /^[0-9A-Fa-f]{8,}$/);
      assert.ok(described.model && described.label);
    });

    await t.step("keys are made once, listed, and found by a later opening", async () => {
      {
        await using hsm = closing(await under.open());
        publicKey = Uint8Array.from(await hsm.generateSigningKey("issuer"));
        assert.equal(publicKey.length, 65);
        assert.equal(publicKey[0], 0x04);
        await hsm.generateMasterKey("transport");
        await hsm.generateMasterKey("upgrade");
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("issuer"));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateMasterKey("transport"));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateMasterKey("issuer"));
        await refusesWith("HSM_LABEL", hsm.generateMasterKey(""));
        await refusesWith("HSM_LABEL", hsm.generateMasterKey("a\nb"));
      }
      await using again = closing(await under.open());
      assert.deepEqual(await again.keys(), [
        { label: "issuer", kind: "signing", curve: "secp256k1" },
        { label: "transport", kind: "master" },
        { label: "upgrade", kind: "master" },
      ]);
      assert.deepEqual(Uint8Array.from(await again.publicKey("issuer")), publicKey);
    });

    await t.step("a key made by another opening is found without reopening", async () => {
      await using one = closing(await under.open());
      await using other = closing(await under.open());
      await refusesWith("HSM_KEY_MISSING", one.publicKey("late"));
      const late = await other.generateSigningKey("late");
      assert.deepEqual(Uint8Array.from(await one.publicKey("late")), Uint8Array.from(late));
      assert.ok(ecdsaVerify(late, toUtf8("x"), await one.sign("late", toUtf8("x"))));
    });

    await t.step("missing keys, and keys of the other kind, are missing", async () => {
      await using hsm = closing(await under.open());
      await refusesWith("HSM_KEY_MISSING", hsm.sign("nothing", new Uint8Array(1)));
      await refusesWith("HSM_KEY_MISSING", hsm.sign("transport", new Uint8Array(1)));
      await refusesWith("HSM_KEY_MISSING", hsm.cmac("issuer", new Uint8Array(1)));
      await refusesWith("HSM_KEY_MISSING", hsm.publicKey("transport"));
    });

    await t.step("200 signatures verify and are low-S; another message does not verify", async () => {
      await using hsm = closing(await under.open());
      for (let i = 0; i < 200; i++) {
        const message = toUtf8(`message ${i}`);
        const signature = await hsm.sign("issuer", message);
        assert.ok(ecdsaVerify(publicKey, message, signature));
        assert.deepEqual(normalizeLowS(signature), signature);
        if (i === 0) assert.ok(!ecdsaVerify(publicKey, toUtf8("another"), signature));
      }
      const empty = await hsm.sign("issuer", new Uint8Array());
      assert.ok(ecdsaVerify(publicKey, new Uint8Array(), empty));
    });

    await t.step("a P-256 key is made, found, and signs on its own curve", async () => {
      let release: Uint8Array;
      {
        await using hsm = closing(await under.open());
        release = Uint8Array.from(await hsm.generateSigningKey("release", "p256"));
        assert.ok(isP256PublicKey(release));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("release", "p256"));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("release"));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("issuer", "p256"));
      }
      await using hsm = closing(await under.open());
      assert.deepEqual(Uint8Array.from(await hsm.publicKey("release")), release);
      const listed = (await hsm.keys()).find(({ label }) => label === "release");
      assert.deepEqual(listed, { label: "release", kind: "signing", curve: "p256" });
      for (let i = 0; i < 50; i++) {
        const message = toUtf8(`load file ${i}`);
        const signature = await hsm.sign("release", message);
        assert.ok(p256Verify(release, message, signature));
        assert.ok(!p256Verify(release, toUtf8("another"), signature));
        assert.ok(!ecdsaVerify(publicKey, message, signature));
        const raw = p256.Signature.fromBytes(signature, "der");
        assert.ok(!raw.hasHighS());
      }
      await refusesWith("HSM_KEY_MISSING", hsm.cmac("release", new Uint8Array(1)));
    });

    await t.step("an Ed25519 key is made, found, and signs messages of any length", async () => {
      let log: Uint8Array;
      {
        await using hsm = closing(await under.open());
        log = Uint8Array.from(await hsm.generateSigningKey("log", "ed25519"));
        assert.ok(isEd25519PublicKey(log));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("log", "ed25519"));
        await refusesWith("HSM_KEY_EXISTS", hsm.generateSigningKey("log"));
      }
      await using hsm = closing(await under.open());
      assert.deepEqual(Uint8Array.from(await hsm.publicKey("log")), log);
      const listed = (await hsm.keys()).find(({ label }) => label === "log");
      assert.deepEqual(listed, { label: "log", kind: "signing", curve: "ed25519" });
      for (const length of [0, 1, 64, 200, 70_000]) {
        const message = new Uint8Array(length).fill(length);
        const signature = await hsm.sign("log", message);
        assert.equal(signature.length, 64);
        assert.ok(ed25519Verify(log, message, signature));
        assert.deepEqual(await hsm.sign("log", message), signature); // deterministic (RFC 8032, 5.1.6)
        assert.ok(!ed25519Verify(log, toUtf8("another"), signature));
      }
      await refusesWith("HSM_KEY_MISSING", hsm.cmac("log", new Uint8Array(1)));
    });

    await t.step("a storage key seals what only it opens, bound to what was said", async () => {
      await using hsm = closing(await under.open());
      await hsm.generateStorageKey("storage-1");
      await hsm.generateStorageKey("storage-2");
      await refusesWith("HSM_KEY_EXISTS", hsm.generateStorageKey("storage-1"));
      const message = toUtf8("a share");
      const bound = toUtf8("row 1");
      const sealed = await hsm.seal("storage-1", message, bound);
      assert.equal(sealed.length, message.length + SEAL_OVERHEAD);
      assert.deepEqual(await hsm.open("storage-1", sealed, bound), message);
      assert.notDeepEqual(await hsm.seal("storage-1", message, bound), sealed);
      await refusesWith("HSM_SEALED", hsm.open("storage-2", sealed, bound));
      await refusesWith("HSM_SEALED", hsm.open("storage-1", sealed, toUtf8("row 2")));
      await refusesWith("HSM_SEALED", hsm.open("storage-1", sealed.subarray(0, SEAL_OVERHEAD - 1), bound));
      for (let at = 0; at < sealed.length; at++) {
        const changed = sealed.slice();
        changed[at]! ^= 1;
        await refusesWith("HSM_SEALED", hsm.open("storage-1", changed, bound));
      }
      for (const length of [0, 1, 4096]) {
        const long = new Uint8Array(length).fill(7);
        const nothing = new Uint8Array();
        assert.deepEqual(
          await hsm.open("storage-1", await hsm.seal("storage-1", long, nothing), nothing),
          long,
        );
      }
      await refusesWith("HSM_KEY_MISSING", hsm.cmac("storage-1", message));
      await refusesWith("HSM_KEY_MISSING", hsm.hmac("storage-1", message));
      await refusesWith("HSM_KEY_MISSING", hsm.seal("transport", message, bound));
    });

    await t.step("HMAC depends on key and message alone", async () => {
      await using hsm = closing(await under.open());
      await hsm.generateMacKey("diversification");
      await hsm.generateMacKey("diversification-2");
      await refusesWith("HSM_KEY_EXISTS", hsm.generateMacKey("diversification"));
      const message = toUtf8("backup");
      const mac = await hsm.hmac("diversification", message);
      assert.equal(mac.length, 32);
      assert.deepEqual(await hsm.hmac("diversification", message), mac);
      assert.notDeepEqual(await hsm.hmac("diversification", toUtf8("another")), mac);
      assert.notDeepEqual(await hsm.hmac("diversification-2", message), mac);
      await refusesWith("HSM_KEY_MISSING", hsm.cmac("diversification", message));
      await refusesWith("HSM_KEY_MISSING", hsm.seal("diversification", message, message));
      const kinds = (await hsm.keys()).filter(({ label }) => /^(storage|diversification)/.test(label));
      assert.deepEqual(kinds.map(({ kind }) => kind), ["mac", "mac", "storage", "storage"]);
    });

    await t.step("CMAC depends on key and message alone", async () => {
      await using hsm = closing(await under.open());
      for (const length of [0, 1, 16, 17, 32, 64]) {
        const message = new Uint8Array(length).fill(7);
        const mac = await hsm.cmac("transport", message);
        assert.equal(mac.length, 16);
        assert.deepEqual(await hsm.cmac("transport", message), mac);
        assert.notDeepEqual(await hsm.cmac("upgrade", message), mac);
        assert.notDeepEqual(await hsm.cmac("transport", new Uint8Array(length + 1).fill(7)), mac);
      }
    });

    await t.step("500 signatures at once all verify", async () => {
      await using hsm = closing(await under.open({ queueLimit: 1024, deadlineMs: 120_000 }));
      const messages = Array.from({ length: 500 }, (_, i) => toUtf8(`at once ${i}`));
      const signatures = await Promise.all(messages.map((message) => hsm.sign("issuer", message)));
      for (const [i, signature] of signatures.entries()) {
        assert.ok(ecdsaVerify(publicKey, messages[i]!, signature));
      }
    });

    await t.step("a full queue refuses at once, and what was accepted is served", async () => {
      await using hsm = closing(await under.open({ queueLimit: 5, deadlineMs: 120_000 }));
      const settled = await Promise.allSettled(
        Array.from({ length: 100 }, () => hsm.sign("issuer", new Uint8Array(3))),
      );
      const refused = settled.filter((one) => one.status === "rejected");
      assert.ok(refused.length >= 50);
      for (const one of refused) assert.equal(codeOf(one.reason), "HSM_BUSY");
      assert.ok(settled.length - refused.length >= 5);
      await hsm.sign("issuer", new Uint8Array(3));
    });

    await t.step("requests past their deadline fail as such, and nothing else does", async () => {
      {
        await using hsm = closing(await under.open({ queueLimit: 1024, deadlineMs: 1 }));
        const settled = await Promise.allSettled(
          Array.from({ length: 300 }, () => hsm.sign("issuer", new Uint8Array(3))),
        );
        const refused = settled.filter((one) => one.status === "rejected");
        assert.ok(refused.length > 0);
        for (const one of refused) assert.equal(codeOf(one.reason), "HSM_DEADLINE");
      }
      await using after = closing(await under.open());
      await after.sign("issuer", new Uint8Array(3));
    });

    await t.step("close() refuses later requests and can be called twice", async () => {
      const hsm = await under.open();
      const last = hsm.sign("issuer", new Uint8Array(1));
      await last;
      await hsm.close();
      await hsm.close();
      await refusesWith("HSM_UNAVAILABLE", hsm.sign("issuer", new Uint8Array(1)));
    });
  });
}

function closing(hsm: Hsm): Hsm & AsyncDisposable {
  return Object.assign(hsm, { [Symbol.asyncDispose]: () => hsm.close() });
}
