import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { BUNDLE_ROOTS_MAX } from "shared/protocol/release/bounds.ts";
import { type ReleaseBundle, verifyRelease } from "shared/protocol/release/metadata.ts";
import { offer } from "shared/protocol/release/target.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { openTufClient, type TufClient } from "device/update/tuf/client.ts";
import { httpSource } from "device/update/tuf/http_source.ts";
import { initTrust } from "device/update/tuf/trust_store.ts";
import { repositoryReleases } from "device/update/repository_releases.ts";
import { takeRelease } from "device/update/releases.ts";
import { checkTransparency } from "device/update/transparency.ts";
import {
  freshenRelease,
  haltRelease,
  initRelease,
  resumeRelease,
  rotateKeys,
  settingsOf,
  signPending,
} from "factory/service/release/ceremony.ts";
import { ReleaseFolder } from "factory/service/release/repository.ts";
import { verifyRepository } from "factory/service/release/verify.ts";
import { proofPath, type PublishedPackage } from "shared/protocol/release/entry.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";
import { ONLINE, PRODUCT, ReleaseScene } from "./release_scene.ts";

const PATH = "recovery-key/1.1/recovery-key-1.1.rkpkg";
const code = (expected: string) => (error: unknown) => codeOf(error) === expected;

/** A client with a folder of its own that trusts the scene's first root. */
function clientOf(scene: ReleaseScene, url: string, name = "wallet"): TufClient {
  const metadataDir = `${scene.directory}/${name}`;
  try {
    Deno.statSync(metadataDir);
  } catch {
    initTrust(metadataDir, scene.published("metadata/1.root.json"));
  }
  return openTufClient({
    metadataDir,
    metadataBaseUrl: `${url}/metadata`,
    targetsDir: `${scene.directory}/${name}-targets`,
    targetsBaseUrl: `${url}/targets`,
    source: httpSource(),
  });
}

/** What a wallet hands on about a release. */
async function bundleOf(scene: ReleaseScene, name?: string): Promise<ReleaseBundle> {
  await using server = scene.serve();
  using client = clientOf(scene, server.url, name);
  return await client.bundle(PATH);
}

Deno.test("a bundle holds every root since the wallet's first, however many those are", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  await scene.publish(2, 4, 5);
  const bundle = await bundleOf(scene);
  const trusted = scene.published("metadata/1.root.json");
  const withRoots = (count: number) => ({ ...bundle, roots: Array<Uint8Array>(count).fill(trusted) });
  equal(verifyRelease(withRoots(257), trusted, Date.now()).release.version, "1.1");
  throws(() => verifyRelease(withRoots(BUNDLE_ROOTS_MAX + 1), trusted, Date.now()), code("RELEASE_METADATA"));
});

Deno.test("a release goes from the holders to a wallet: listed, fetched, verified again from the bundle, in the log", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  deepEqual(await scene.publish(2, 4, 5), [PRODUCT]);
  await using server = scene.serve();
  using client = clientOf(scene, server.url);
  deepEqual((await client.listTargets(PRODUCT)).map(({ path }) => path), [PATH]);
  deepEqual(await client.listTargets("another"), []);
  const file = await client.download(PATH);
  const release = verifyRelease(
    await client.bundle(PATH),
    scene.published("metadata/1.root.json"),
    Date.now(),
  );
  equal((await Deno.stat(file)).size, release.length);
  equal(release.halted, undefined);
  const card = { product: PRODUCT, version: "1.0", securityCounter: 0 };
  deepEqual(offer(card, release.release, false), { offered: true });

  const logged = { ...release, product: PRODUCT, version: "1.1" };
  const log = directorySource(`${scene.folder.path}/public/log`);
  const proof = scene.published(proofPath(release.sha256));
  const first = await checkTransparency({
    release: logged,
    proof,
    trust: release.transparency,
    seen: undefined,
    log,
  });
  scene.add("1.2", { replaces: ["1.0", "1.1"] }, 400);
  await scene.publish(1, 2, 3);
  // The log has grown: an old proof is too old for who has seen the new one, a new one shows that it is the same log.
  const newer = scene.published(proofPath(release.sha256));
  const check = (given: Uint8Array, seen: Uint8Array, more: Partial<PublishedPackage> = {}) =>
    checkTransparency({
      release: { ...logged, ...more },
      proof: given,
      trust: release.transparency,
      seen,
      log,
    });
  const second = await check(newer, first.checkpoint);
  deepEqual([first.size, second.size], [1, 2]);
  await rejects(check(proof, second.checkpoint), code("TRANSPARENCY_OLD"));
  await rejects(check(newer, first.checkpoint, { sha256: "00".repeat(32) }), code("LOG_PROOF_INVALID"));
  deepEqual(
    (await verifyRepository(
      directorySource(`${scene.folder.path}/public`),
      scene.published("metadata/1.root.json"),
      Date.now(),
    ))
      .releases.map((each) => each.release.version),
    ["1.1", "1.2"],
  );
});

Deno.test("a wallet judges releases and takes one; without its proof it does not", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  scene.add("1.2", { chips: [{ chip: "P71D600", os: "JCOP 4.5" }] }, 400);
  await scene.publish(1, 2, 3);
  await using server = scene.serve();
  using client = clientOf(scene, server.url);
  const place = { source: httpSource(), repositoryUrl: server.url, seenFile: `${scene.directory}/seen` };
  const trustedRoot = scene.published("metadata/1.root.json");
  const releases = repositoryReleases({ client, place, trustedRoot, clock: SYSTEM_CLOCK });
  const chosen = async (version: string, chip = {}) =>
    (await releases.choose({ product: PRODUCT, version, ...chip }))?.verified.release.version;
  // The newest of another chip hides no older one that is offered; when none is, the newest is judged.
  equal(await chosen("1.0"), "1.1");
  equal(await chosen("1.0", { chip: "P71D600", os: "JCOP 4.5" }), "1.2");
  equal(await chosen("1.2"), "1.2");
  equal(await releases.choose({ product: "another", version: "1.0" }), undefined);
  const seen: number[] = [];
  const taken = await takeRelease(client, PATH, place, Date.now(), (bytes) => void seen.push(bytes));
  equal(taken.parts.signed.loadFileDataBlockHash, taken.release.release.loadFileHash);
  equal(seen.at(-1), taken.release.length);
  scene.folder.remove(`public/${proofPath(taken.release.sha256)}`);
  await rejects(takeRelease(client, PATH, place, Date.now()), code("RELEASE_PROOF"));
});

Deno.test("a bundle is refused for what is wrong with it", async () => {
  await using scene = await ReleaseScene.make();
  const old = await bundleOf(scene, "before");
  scene.add("1.1");
  await scene.publish(1, 2, 3);
  const bundle = await bundleOf(scene);
  const root = scene.published("metadata/1.root.json");
  const now = Date.now();
  const refusal = (changes: Partial<ReleaseBundle>, at = now) => {
    try {
      verifyRelease({ ...bundle, ...changes }, root, at);
      return "passed";
    } catch (error) {
      return codeOf(error);
    }
  };
  equal(refusal({}), "passed");
  const edit = (
    bytes: Uint8Array,
    change: (document: { signed: Record<string, unknown>; signatures: unknown[] }) => void,
  ) => {
    const document = JSON.parse(new TextDecoder().decode(bytes));
    change(document);
    return new TextEncoder().encode(JSON.stringify(document));
  };
  const { timestamp, targets } = bundle;
  const product = bundle.delegated[PRODUCT]!;
  const cases: Record<string, readonly [Partial<ReleaseBundle>, string]> = {
    "timestamp's halts changed": [
      { timestamp: edit(timestamp, ({ signed }) => void (signed.halts = [{}])) },
      "RELEASE_SIGNATURES",
    ],
    "timestamp's version changed": [
      { timestamp: edit(timestamp, ({ signed }) => void (signed.version = 9)) },
      "RELEASE_SIGNATURES",
    ],
    "snapshot of before": [{ snapshot: old.snapshot }, "RELEASE_METADATA"],
    "targets not the snapshot's": [{ targets: edit(targets, () => {}) }, "RELEASE_METADATA"],
    "the product's document of before": [{ delegated: old.delegated }, "RELEASE_METADATA"],
    "no document of the product": [{ delegated: {} }, "RELEASE_MISSING"],
    "signatures taken away": [{
      delegated: { [PRODUCT]: edit(product, ({ signatures }) => void signatures.pop()) },
    }, "RELEASE_METADATA"],
    "another path": [{ path: "recovery-key/1.2/recovery-key-1.2.rkpkg" }, "RELEASE_MISSING"],
    "a path of nobody's": [{ path: "other/1.1/x" }, "RELEASE_MISSING"],
    "a root that does not follow": [
      { roots: [edit(root, ({ signed }) => void (signed.version = 2))] },
      "RELEASE_SIGNATURES",
    ],
    "no JSON": [{ snapshot: new TextEncoder().encode("{") }, "RELEASE_METADATA"],
  };
  for (const [name, [changes, expected]] of Object.entries(cases)) equal(refusal(changes), expected, name);
  equal(refusal({}, now + 2 * 86_400_000), "RELEASE_EXPIRED");
  equal(
    refusal({ timestamp: old.timestamp, snapshot: old.snapshot, delegated: old.delegated }),
    "RELEASE_MISSING",
  );
});

Deno.test("thresholds below 3, fewer than 5 holders and one holder five times are refused", async () => {
  await using scene = await ReleaseScene.make();
  const settings = settingsOf(scene.folder);
  const keys = settings.holders.keys;
  for (
    const holders of [
      { keys, threshold: 2 },
      { keys: keys.slice(0, 4), threshold: 3 },
      { keys: [keys[0]!, keys[0]!, keys[0]!, keys[0]!, keys[0]!], threshold: 3 },
      { keys, threshold: 6 },
    ]
  ) {
    const folder = new ReleaseFolder(`${scene.directory}/weak`);
    throws(() => initRelease(folder, { ...settings, holders }, Date.now()), code("RELEASE_THRESHOLD"));
    throws(() => rotateKeys(scene.folder, { holders }, Date.now()), code("RELEASE_THRESHOLD"));
  }
});

Deno.test("two signatures of three publish nothing; a foreign key signs nothing; a known version stays; the counter never falls", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1", { securityCounter: 5 });
  const before = scene.published("metadata/timestamp.json");
  await rejects(scene.publish(1, 2), code("RELEASE_PENDING"));
  deepEqual(scene.published("metadata/timestamp.json"), before);
  await rejects(scene.publish(6), code("RELEASE_HOLDER"));
  await scene.publish(3);
  throws(() => scene.add("1.1"), code("RELEASE_EXISTS"));
  throws(() => scene.add("1.2", { securityCounter: 4 }), code("RELEASE_COUNTER"));
  throws(() => scene.add("1.2", { securityCounter: 5, replaces: ["1.3"] }), code("RELEASE_COUNTER"));
  throws(() => scene.add("1.2", { product: "another" }), code("RELEASE_MISSING"));
  throws(() => scene.add("1.02"), code("RELEASE_TARGET"));
});

Deno.test("a holder's machine does not sign what gives releases to fewer than 3 of 5, whoever made it pending", async () => {
  await using scene = await ReleaseScene.make();
  rotateKeys(scene.folder, {}, Date.now());
  for (const role of ["root", "targets"]) {
    const envelope = scene.folder.pending().get(role)!;
    const signed = structuredClone(envelope.signed) as unknown as {
      roles?: Record<string, { threshold: number }>;
      delegations?: { roles: { threshold: number }[] };
    };
    for (const each of [signed.roles?.targets, signed.delegations?.roles[0]]) if (each) each.threshold = 1;
    scene.folder.keepPending(role, { ...envelope, signed: signed as unknown as typeof envelope.signed });
    await rejects(signPending(scene.folder, scene.hsm, "holder-1", role), code("RELEASE_THRESHOLD"));
  }
});

Deno.test("one key halts at once and can do nothing else; the holders go on", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  await scene.publish(1, 2, 3);
  const root = scene.published("metadata/1.root.json");
  const halt = (labels: { halt: string; online: string }) =>
    haltRelease(scene.folder, scene.hsm, labels, {
      product: PRODUCT,
      version: "1.1",
      reason: "cards get slow",
    }, Date.now());
  await rejects(halt({ halt: "holder-1", online: ONLINE.online }), code("RELEASE_HOLDER"));
  equal(await halt(ONLINE), 1);
  const halted = verifyRelease(await bundleOf(scene), root, Date.now());
  equal(halted.halted?.reason, "cards get slow");
  const card = { product: PRODUCT, version: "1.0" };
  deepEqual(offer(card, halted.release, true), { offered: false, reason: "halted" });
  resumeRelease(scene.folder, PRODUCT, "1.1", Date.now());
  await rejects(scene.publish(1), code("RELEASE_PENDING"));
  equal(verifyRelease(await bundleOf(scene), root, Date.now()).halted?.number, 1);
  // What is published stays fresh while the holders are waited for, and stays halted.
  const before = verifyRelease(await bundleOf(scene), root, Date.now()).versions;
  await freshenRelease(scene.folder, scene.hsm, ONLINE.online, Date.now());
  const { versions, halted: still } = verifyRelease(await bundleOf(scene), root, Date.now());
  deepEqual([versions[PRODUCT], still?.number], [before[PRODUCT], 1]);
  equal(versions.timestamp, before.timestamp! + 1);
  await scene.publish(2, 3);
  equal(verifyRelease(await bundleOf(scene), root, Date.now()).halted, undefined);
  equal(await halt(ONLINE), 2);
  equal(verifyRelease(await bundleOf(scene), root, Date.now()).halted?.number, 2);
});

Deno.test("holders change: signed by enough of before and of now; wallets and vaults follow from the first root", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  await scene.publish(1, 2, 3);
  await bundleOf(scene);
  rotateKeys(scene.folder, { holders: { keys: await scene.keys(3, 4, 5, 6, 7), threshold: 3 } }, Date.now());
  // Three of now, one of whom held before: two of before are missing.
  await rejects(scene.publish(5, 6, 7), code("RELEASE_PENDING"));
  deepEqual(await scene.publish(1, 2), ["root", "targets", PRODUCT]);
  const bundle = await bundleOf(scene);
  equal(verifyRelease(bundle, scene.published("metadata/1.root.json"), Date.now()).versions.root, 2);
  equal(verifyRelease(bundle, scene.published("metadata/2.root.json"), Date.now()).versions.root, 2);
});

Deno.test("anybody finds out what was changed in a repository", async () => {
  await using scene = await ReleaseScene.make();
  scene.add("1.1");
  await scene.publish(1, 2, 3);
  const root = scene.published("metadata/1.root.json");
  const place = `${scene.folder.path}/public`;
  const verify = () => verifyRepository(directorySource(place), root, Date.now());
  const { releases: [release], log } = await verify();
  equal(log?.size, 1);
  const file = PATH.replace(/([^/]+)$/, `${release!.sha256.toLowerCase()}.$1`);
  for (
    const [path, expected] of [
      [`targets/${file}`, /PACKAGE|CAP/],
      [`log/tile/entries/000.p/1`, /LOG|BUNDLE|TILE/],
      ["log/checkpoint", /NOTE|CHECKPOINT|LOG/],
      [proofPath(release!.sha256), /LOG|PROOF|NOTE|CHECKPOINT/],
      ["metadata/2.recovery-key.json", /RELEASE/],
    ] as const
  ) {
    const bytes = Deno.readFileSync(`${place}/${path}`);
    const changed = bytes.slice();
    // Not in the middle of a proof: the entry that it repeats there is not believed anyway.
    changed[changed.length - Math.min(20, changed.length >> 1)]! ^= 1;
    Deno.writeFileSync(`${place}/${path}`, changed);
    await rejects(verify(), (error) => expected.test(codeOf(error)), path);
    Deno.writeFileSync(`${place}/${path}`, bytes);
  }
  await verify();
});

Deno.test("holders' keys in PKCS#11 tokens sign what wallets verify", async () => {
  const directory = await Deno.makeTempDir({ prefix: "rk-release-token-" });
  try {
    const token = await startSoftHsm({ directory });
    const hsm = await openPkcs11Hsm({ ...token, logger: createLogger("test", { write: () => {} }) });
    await using scene = await ReleaseScene.make(hsm, "p256");
    scene.add("1.1");
    await scene.publish(1, 3, 5);
    const release = verifyRelease(await bundleOf(scene), scene.published("metadata/1.root.json"), Date.now());
    equal(release.release.version, "1.1");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
