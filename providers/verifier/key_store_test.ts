/** The ring on disk, against the vault's own check: results of the old and of the new key, and sets that nobody of ours signed. */

import assert from "node:assert/strict";
import { exportJWK, generateKeyPair } from "jose";
import { codeOf } from "shared/base/errors.ts";
import { openVerification } from "../vault/verification_result.ts";
import { ensureVerifierKeys, VerifierKeys } from "./key_store.ts";
import { sealResult, VerificationForm } from "./result.ts";

const ISSUER = "https://verifier-1.example";
const POLICY = { rotateSeconds: 86_400, announceSeconds: 3600, overlapSeconds: 900 };
const START = 1_800_000_000;
const FORM = VerificationForm.parse({
  nonce: "ab".repeat(32),
  firstName: "Ada",
  lastName: "Lovelace",
  dateOfBirth: "1815-12-10",
  placeOfBirth: "London",
  confirmed: "yes",
});

Deno.test("VerifierKeys: whoever has a set of this hour believes results of before, of now, and of after a rotation", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "rk-verifier-keys-" });
  try {
    assert.throws(() => new VerifierKeys(folder, { issuer: ISSUER, policy: POLICY, setSeconds: 7200 }), {
      code: "VERIFIER_KEYS",
    });
    const pinnedKey = await ensureVerifierKeys(folder);
    assert.deepEqual(await ensureVerifierKeys(folder), pinnedKey);
    assert.deepEqual(Object.keys(pinnedKey).sort(), ["crv", "kty", "x", "y"]);
    const open = () => new VerifierKeys(folder, { issuer: ISSUER, policy: POLICY, setSeconds: 7200 });
    const keys = open();
    const pair = await generateKeyPair("ECDH-ES+A256KW", { extractable: true, crv: "P-256" });
    const provider = { name: "Provider 1", vaultKey: await exportJWK(pair.publicKey) };
    const vaultKey = await exportJWK(pair.privateKey);
    const make = async (now: number) =>
      (await sealResult(FORM, { issuer: ISSUER, provider, resultSeconds: 300 }, await keys.signer(now), now))
        .result;
    const opened = async (
      sealed: string,
      set: string | null,
      now: number,
      issuer = ISSUER,
      pinned = pinnedKey,
    ) => {
      const result = await openVerification(sealed, set, vaultKey, { issuer, pinnedKey: pinned }, now);
      return result.kind === "claims" ? "claims" : result.fault;
    };

    await t.step("many at once make one key", async () => {
      const kids = await Promise.all([1, 2, 3].map(async () => (await keys.signer(START)).kid));
      assert.equal(new Set(kids).size, 1);
      assert.deepEqual((await open().signer(START)).kid, kids[0], "and it is on disk");
    });

    const turn = START + POLICY.rotateSeconds;
    await t.step("old and new overlap", async () => {
      const early = await keys.signedSet(turn - POLICY.announceSeconds);
      const before = await make(turn - 1);
      const signedBefore = (await keys.signer(turn - 1)).kid;
      assert.equal((await keys.published(turn - 1)).length, 2, "the next one is announced");
      const after = await make(turn + 1);
      assert.notEqual(signedBefore, (await keys.signer(turn + 1)).kid);
      assert.equal(
        await opened(after, early, turn + 1),
        "claims",
        "a set fetched before the turn has the new key",
      );
      assert.equal(await opened(before, await keys.signedSet(turn + 1), turn + 1), "claims");
      const later = turn + POLICY.overlapSeconds + 1;
      assert.equal((await keys.published(later)).length, 1);
      assert.equal(
        await opened(before, await keys.signedSet(later), later),
        "signature",
        "the old key is gone",
      );
    });

    await t.step(
      "a set counts only with the pinned key's signature, its issuer, and before its end",
      async () => {
        const now = turn + 10;
        const sealed = await make(now);
        const set = await keys.signedSet(now);
        assert.equal(await opened(sealed, set, now), "claims");
        assert.equal(await opened(sealed, set, now + 7201), "keys", "expired");
        assert.equal(await opened(sealed, set, now, "https://verifier-2.example"), "keys");
        assert.equal(await opened(sealed, JSON.stringify({ keys: await keys.published(now) }), now), "keys");
        const other = await Deno.makeTempDir({ prefix: "rk-verifier-keys-" });
        try {
          assert.equal(await opened(sealed, set, now, ISSUER, await ensureVerifierKeys(other)), "keys");
          const foreign = new VerifierKeys(other, { issuer: ISSUER, policy: POLICY, setSeconds: 7200 });
          assert.equal(await opened(sealed, await foreign.signedSet(now), now), "keys");
        } finally {
          await Deno.remove(other, { recursive: true });
        }
      },
    );

    await t.step("a file that was changed is refused, and its content is not told", () => {
      Deno.writeTextFileSync(`${folder}/keys.json`, '{"root":"SECRET"}');
      assert.throws(open, (error) => codeOf(error) === "VERIFIER_KEYS" && !String(error).includes("SECRET"));
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
