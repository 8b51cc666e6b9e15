/**
 * The repository of releases of a local spine: five key holders in one token, which is not what five key holders are. Packages 1.0
 * and 1.1 of the demo's size are released.
 */

import { createHash } from "node:crypto";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { encodePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { RELEASE_LABEL } from "factory/domain/factory_keys.ts";
import { signPackage } from "factory/service/package/sign.ts";
import { addRelease, initRelease, publishRelease, signPending } from "factory/service/release/ceremony.ts";
import { keyJsonOf } from "factory/service/release/keys.ts";
import { logTrustOf } from "factory/service/release/release_log.ts";
import { ReleaseFolder } from "factory/service/release/repository.ts";
import { DEMO_PACKAGE_BYTES } from "../../demo/profile.ts";

const PRODUCT = "recovery-key";
const HOLDERS = [1, 2, 3, 4, 5].map((number) => `release-holder-${number}`);
const LABELS = { online: "release-online", log: "release-log", halt: "release-halt" } as const;
const ISD_AID = fromHex("A000000151000000");
const ZEROS = "00".repeat(32);

/** Makes or keeps the repository. @returns path of the root that wallets and vaults are given. */
export async function provisionReleases(path: string, hsm: Hsm): Promise<{ root: string }> {
  const folder = new ReleaseFolder(path);
  const root = `${path}/public/metadata/1.root.json`;
  const now = SYSTEM_CLOCK.now();
  if (folder.exists("public/metadata/1.root.json")) {
    // Documents that expired while the spine was off are signed anew.
    await publishRelease(folder, hsm, LABELS, now);
    return { root };
  }
  const known = new Set((await hsm.keys()).map(({ label }) => label));
  for (const label of [...HOLDERS, LABELS.online, LABELS.halt, LABELS.log]) {
    if (!known.has(label)) await hsm.generateSigningKey(label, "ed25519");
  }
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  const holders = await Promise.all(HOLDERS.map((label) => keyJsonOf(hsm, label)));
  initRelease(folder, {
    holders: { keys: holders, threshold: 3 },
    online: await keyJsonOf(hsm, LABELS.online),
    haltKey: await keyJsonOf(hsm, LABELS.halt),
    products: [PRODUCT],
    transparency: await logTrustOf(hsm, LABELS.log, "local.invalid/releases"),
  }, now);
  const signAndPublish = async () => {
    for (const label of HOLDERS.slice(0, 3)) await signPending(folder, hsm, label);
    await publishRelease(folder, hsm, LABELS, now);
  };
  await signAndPublish();
  for (const minor of [0, 1]) {
    const { file, loadFileHash, packageAid, build } = await packageOf(hsm, minor);
    addRelease(
      folder,
      {
        product: PRODUCT,
        version: `1.${minor}`,
        packageAid,
        loadFileHash,
        replaces: minor === 0 ? [] : ["1.0"],
        securityCounter: 1,
        chips: [{ chip: "P71D600", os: "JCOP 4.5" }],
        source: { url: "https://example.org/recovery-key", hash: ZEROS },
        build: { hash: build },
        notes: minor === 0 ? "First version." : "GET STATUS also tells the hash of the installed package.",
      },
      file,
      toHex(createHash("sha256").update(file).digest()),
      now,
    );
    await signAndPublish();
  }
  return { root };
}

async function packageOf(hsm: Hsm, minor: number) {
  const cap = writeTestCap({ version: { major: 1, minor }, payloadBytes: DEMO_PACKAGE_BYTES });
  const signed = await signPackage({
    hsm,
    keyLabel: RELEASE_LABEL,
    cap,
    securityDomainAid: ISD_AID,
    clock: SYSTEM_CLOCK,
  });
  const { sha256, fileSha256, packageAid } = readCap(cap);
  return {
    file: encodePackageFile(cap, signed),
    loadFileHash: toHex(sha256),
    packageAid: toHex(packageAid),
    build: toHex(fileSha256),
  };
}
