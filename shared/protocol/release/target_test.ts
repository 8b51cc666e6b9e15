import { deepEqual, equal, throws } from "node:assert/strict";
import { codeOf } from "../../base/errors.ts";
import { toHex } from "../../base/bytes.ts";
import { ed25519PublicKeyOf, ed25519Sign, generateEd25519PrivateKey } from "../../crypto/ed25519.ts";
import { haltBytes, haltOf, HALTS_MAX, parseHalts } from "./halt.ts";
import {
  compareVersions,
  offer,
  parseReleaseTarget,
  releasePath,
  type ReleaseTarget,
  withCounter,
} from "./target.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const KEY = generateEd25519PrivateKey(random);
const RELEASE: ReleaseTarget = {
  format: "rk-release-1",
  product: "recovery-key",
  version: "1.1",
  packageAid: "A000000151",
  loadFileHash: "AB".repeat(32),
  replaces: ["1.0", "1.0.1"],
  securityCounter: 3,
  chips: [{ chip: "P71D600", os: "JCOP 4.5" }],
  source: { url: "https://source.example/", hash: "CD".repeat(32) },
  build: { hash: "EF".repeat(32) },
  notes: "",
  halt: { publicKey: toHex(ed25519PublicKeyOf(KEY)), resumed: 1 },
};
const CARD = { product: "recovery-key", version: "1.0", securityCounter: 3, chip: "P71D600", os: "JCOP 4.5" };

Deno.test("offer() offers a release to a card that it is for, and says why not otherwise", () => {
  deepEqual(offer(CARD, RELEASE, false), { offered: true });
  deepEqual(offer({ ...CARD, version: "1.0.0" }, RELEASE, false), { offered: true });
  deepEqual(offer({ product: "recovery-key", version: "1.0" }, { ...RELEASE, chips: [] }, false), {
    offered: true,
  });
  const reason = (card: Partial<typeof CARD>, halted = false) => {
    const answer = offer({ ...CARD, ...card }, RELEASE, halted);
    return answer.offered ? "offered" : answer.reason;
  };
  equal(reason({ product: "another" }), "other-product");
  equal(reason({ version: "1.1" }), "already-newest");
  equal(reason({ version: "1.1.0" }), "already-newest");
  equal(reason({ version: "2.0" }), "already-newest");
  equal(reason({ securityCounter: 4 }), "security-counter-lower");
  equal(reason({ version: "0.9" }), "not-replaceable");
  equal(reason({ chip: "P71D321" }), "other-chip");
  equal(reason({ os: "JCOP 4" }), "other-chip");
  equal(reason({}, true), "halted");
  const { chip: _, ...silent } = CARD;
  deepEqual(offer(silent, RELEASE, false), { offered: false, reason: "other-chip" });
});

Deno.test("withCounter() knows a card's security counter from the release of its version", () => {
  const { securityCounter: _, ...card } = CARD;
  const own = { ...RELEASE, version: "1.0", securityCounter: 7 };
  equal(withCounter({ ...card, version: "1.0.0" }, [RELEASE, own]).securityCounter, 7);
  equal(withCounter({ ...card, version: "0.9" }, [RELEASE, own]).securityCounter, undefined);
  equal(withCounter(card, [{ ...own, product: "another" }]).securityCounter, undefined);
});

Deno.test("parseReleaseTarget() reads what was written, and names what is wrong", () => {
  deepEqual(parseReleaseTarget(structuredClone(RELEASE)), RELEASE);
  for (
    const changes of [
      { format: "rk-release-2" },
      { version: "1" },
      { version: "01.1" },
      { loadFileHash: "ab".repeat(32) },
      { securityCounter: -1 },
      { securityCounter: 1.5 },
      { product: "Recovery Key" },
      { source: { url: "file:///etc", hash: "CD".repeat(32) } },
      { more: true },
      { halt: undefined },
    ]
  ) {
    throws(
      () => parseReleaseTarget({ ...RELEASE, ...changes }),
      (error) =>
        codeOf(error) === "RELEASE_TARGET" &&
        String(error).includes(Object.keys(changes)[0]! === "more" ? "custom" : Object.keys(changes)[0]!),
    );
  }
  throws(() => parseReleaseTarget(undefined), (error) => codeOf(error) === "RELEASE_TARGET");
});

Deno.test("compareVersions() compares numbers, not letters; releasePath() is the target's path", () => {
  for (
    const [left, right, sign] of [["1.0", "1.1", -1], ["1.10", "1.9", 1], ["1.0", "1.0.0", 0], [
      "2.0",
      "1.99.99",
      1,
    ]] as const
  ) {
    equal(Math.sign(compareVersions(left, right)), sign, `${left} ${right}`);
  }
  equal(releasePath("recovery-key", "1.1"), "recovery-key/1.1/recovery-key-1.1.rkpkg");
});

Deno.test("haltOf() counts halts by the release's own halt key, above what the holders answered", () => {
  const statement = {
    format: "rk-halt-1" as const,
    product: "recovery-key",
    version: "1.1",
    number: 2,
    reason: "cards get slow",
    at: "2026-01-02T03:04:05Z",
  };
  const signed = (changes: Partial<typeof statement> = {}, key = KEY) => {
    const said = { ...statement, ...changes };
    return { ...said, signature: toHex(ed25519Sign(key, haltBytes(said))) };
  };
  equal(haltOf(RELEASE, parseHalts([signed()]))?.number, 2);
  equal(haltOf(RELEASE, []), undefined);
  equal(haltOf(RELEASE, [signed({ number: 1 })]), undefined);
  equal(haltOf(RELEASE, [signed({ version: "1.0" })]), undefined);
  equal(haltOf(RELEASE, [signed({ product: "another" })]), undefined);
  equal(haltOf(RELEASE, [signed({}, generateEd25519PrivateKey(random))]), undefined);
  equal(haltOf(RELEASE, [{ ...signed(), number: 3 }]), undefined);
  // A foreign halt hides no right one.
  equal(haltOf(RELEASE, [signed({}, generateEd25519PrivateKey(random)), signed({ number: 9 })])?.number, 9);
  for (const wrong of [undefined, {}, [{ ...signed(), more: 1 }], Array(HALTS_MAX + 1).fill(signed())]) {
    throws(() => parseHalts(wrong), (error) => codeOf(error) === "RELEASE_HALT");
  }
});
