import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Sign } from "shared/crypto/p256.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { signPackage } from "../../service/package/sign.ts";
import { checkProfile, type Profile } from "../profile.ts";
import { profileTemplate } from "../profile_template.ts";
import { planLoad, requireLoadable } from "./load_plan.ts";

const KEY = generateP256PrivateKey((length) => crypto.getRandomValues(new Uint8Array(length)));
const PUBLIC = p256PublicKeyOf(KEY);
const ISD = "A000000151000000";
const BYTES = writeTestCap({ payloadBytes: 100 });
const CAP = readCap(BYTES);

function sign(cap = BYTES, domain = ISD) {
  return signPackage({
    hsm: {
      publicKey: () => Promise.resolve(PUBLIC),
      sign: (_label, message) => Promise.resolve(p256Sign(KEY, message)),
    },
    keyLabel: "release",
    cap,
    securityDomainAid: fromHex(domain),
    clock: { now: () => 0 },
  });
}

type Applet = Record<string, unknown>;

function profile(name: string, applet: Applet): Profile {
  const value = JSON.parse(profileTemplate(name));
  return checkProfile({ ...value, applet: { ...value.applet, ...applet } });
}

const LOAD = { state: "load", capPath: "a.cap", capSha256: toHex(CAP.fileSha256) };
const SIGNED = { ...LOAD, signedPath: "a.signed.json", releaseKey: toHex(PUBLIC) };

Deno.test("planLoad() a signed package carries its DAP where the card has a domain that verifies it", async () => {
  const signed = await sign();
  const plan = planLoad(profile("recovery-key", SIGNED), CAP, signed);
  assert.equal(plan.signer?.keyLabel, "release");
  assert.deepEqual(plan.dapBlocks.map(({ securityDomainAid }) => toHex(securityDomainAid)), [ISD]);
  const without = planLoad(profile("test-card", SIGNED), CAP, signed);
  assert.equal(without.signer?.keyLabel, "release");
  assert.deepEqual(without.dapBlocks, []);
});

Deno.test("planLoad() refuses what is properly signed and not the profile's", async () => {
  const newer = writeTestCap({ payloadBytes: 100, version: { major: 1, minor: 1 } });
  const product = writeTestCap({ payloadBytes: 100, packageAid: fromHex("A0000000620302") });
  const recoveryKey = profile("recovery-key", SIGNED);
  for (const bytes of [newer, product]) {
    const signed = await sign(bytes);
    assert.throws(() => planLoad(recoveryKey, readCap(bytes), signed), { code: "PACKAGE_OTHER" });
  }
  const elsewhere = await sign(BYTES, "5353445F4C4544474552");
  assert.throws(() => planLoad(recoveryKey, CAP, elsewhere), { code: "PACKAGE_DOMAIN" });
  const zeros = profile("recovery-key", { ...SIGNED, releaseKey: "00".repeat(65) });
  const signed = await sign();
  assert.throws(() => planLoad(zeros, CAP, signed), { code: "PACKAGE_KEY" });
});

Deno.test("planLoad() unsigned: on a test card that says so, and never on a Recovery Key", async () => {
  const escaped = profile("test-card", { ...LOAD, unsigned: true });
  const plan = planLoad(escaped, CAP, undefined);
  assert.equal(plan.signer, null);
  assert.deepEqual(plan.dapBlocks, []);
  requireLoadable(plan, escaped);

  const recoveryKey = profile("recovery-key", SIGNED);
  assert.throws(() => planLoad(recoveryKey, CAP, undefined), { code: "PACKAGE_UNSIGNED" });
  assert.throws(() => requireLoadable(plan, recoveryKey), { code: "PACKAGE_UNSIGNED" });
  // Even a profile that slipped past the check of profiles.
  const forced = { ...recoveryKey, applet: { ...recoveryKey.applet, signedPath: null, releaseKey: null } };
  assert.throws(() => planLoad(forced, CAP, undefined), { code: "PACKAGE_UNSIGNED" });
  const signed = planLoad(recoveryKey, CAP, await sign());
  const otherKey = { ...recoveryKey, applet: { ...recoveryKey.applet, releaseKey: "04".repeat(65) } };
  assert.throws(() => requireLoadable(signed, otherKey), { code: "PACKAGE_KEY" });
  const otherPackage = profile("test-card", { ...LOAD, capSha256: "11".repeat(32), unsigned: true });
  assert.throws(() => planLoad(otherPackage, CAP, undefined), { code: "PACKAGE_OTHER" });
});
