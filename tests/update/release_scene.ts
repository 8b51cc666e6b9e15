/** A repository with its key holders, made by the release side's own steps, and a static server for it. */

import { createHash } from "node:crypto";
import { toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { generateP256PrivateKey, p256DerToRaw, p256PublicKeyOf, p256Sign } from "shared/crypto/p256.ts";
import { describeCap } from "shared/protocol/cap/description.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { dapBytes, type SignedPackage, statementBytes } from "shared/protocol/signed_package/document.ts";
import { encodePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { packageStatement } from "shared/protocol/signed_package/statement.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import {
  type AddedRelease,
  addRelease,
  initRelease,
  publishRelease,
  signPending,
} from "factory/service/release/ceremony.ts";
import { keyJsonOf } from "factory/service/release/keys.ts";
import { logTrustOf } from "factory/service/release/release_log.ts";
import { ReleaseFolder } from "factory/service/release/repository.ts";

/** Labels of the on-line keys. */
export const ONLINE = { online: "online", log: "log", halt: "halt" } as const;
/** Product of the repository. */
export const PRODUCT = "recovery-key";
const RELEASE_KEY = generateP256PrivateKey((length) => crypto.getRandomValues(new Uint8Array(length)));

/** A signed package of some version. */
export function testPackage(
  payloadBytes: number,
): { file: Uint8Array; sha256: string; loadFileHash: string; packageAid: string } {
  const bytes = writeTestCap({ payloadBytes });
  const cap = readCap(bytes);
  const statement = packageStatement(cap, new Uint8Array([0xa0, 0, 0, 1, 0x51]), Date.UTC(2026, 0, 1));
  const signer = { keyLabel: "release", publicKey: toHex(p256PublicKeyOf(RELEASE_KEY)) };
  const raw = (message: Uint8Array) => toHex(p256DerToRaw(p256Sign(RELEASE_KEY, message)));
  const signed: SignedPackage = {
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
  const file = encodePackageFile(bytes, signed);
  const { loadFileDataBlockHash: loadFileHash, packageAid } = describeCap(cap);
  return { file, sha256: toHex(createHash("sha256").update(file).digest()), loadFileHash, packageAid };
}

/** A repository; its holders are the keys `holder-1` to `holder-7` of one token, of whom the first five hold at first. */
export class ReleaseScene implements AsyncDisposable {
  private constructor(readonly directory: string, readonly folder: ReleaseFolder, readonly hsm: Hsm) {}

  /** Makes it, with root and empty documents published. @param hsm the token; a software HSM otherwise. */
  static async make(hsm?: Hsm, curve: "ed25519" | "p256" = "ed25519"): Promise<ReleaseScene> {
    const directory = await Deno.makeTempDir({ prefix: "rk-release-" });
    const scene = new ReleaseScene(
      directory,
      new ReleaseFolder(`${directory}/repository`),
      hsm ?? await software(directory),
    );
    for (let holder = 1; holder <= 7; holder++) await scene.hsm.generateSigningKey(`holder-${holder}`, curve);
    for (const label of Object.values(ONLINE)) await scene.hsm.generateSigningKey(label, "ed25519");
    initRelease(scene.folder, {
      holders: { keys: await scene.keys(1, 2, 3, 4, 5), threshold: 3 },
      online: await keyJsonOf(scene.hsm, ONLINE.online),
      haltKey: await keyJsonOf(scene.hsm, ONLINE.halt),
      products: [PRODUCT],
      transparency: await logTrustOf(scene.hsm, ONLINE.log, "releases.example/log"),
    }, Date.now());
    await scene.publish(1, 2, 3);
    return scene;
  }

  /** Public keys of holders. */
  async keys(...holders: number[]) {
    return await Promise.all(holders.map((holder) => keyJsonOf(this.hsm, `holder-${holder}`)));
  }

  /** Has holders sign what is pending, and publishes it. */
  async publish(...holders: number[]): Promise<string[]> {
    for (const holder of holders) await signPending(this.folder, this.hsm, `holder-${holder}`);
    return await publishRelease(this.folder, this.hsm, ONLINE, Date.now());
  }

  /** Makes a release pending. */
  add(version: string, changes: Partial<AddedRelease> = {}, payloadBytes = 300): string {
    const { file, sha256, loadFileHash, packageAid } = testPackage(payloadBytes);
    return addRelease(
      this.folder,
      {
        product: PRODUCT,
        version,
        packageAid,
        loadFileHash,
        replaces: ["1.0"],
        securityCounter: 1,
        chips: [],
        source: { url: "https://source.example/recovery-key", hash: "AB".repeat(32) },
        build: { hash: "CD".repeat(32) },
        notes: `version ${version}`,
        ...changes,
      },
      file,
      sha256,
      Date.now(),
    );
  }

  /** A published file. */
  published(path: string): Uint8Array {
    return this.folder.read(`public/${path}`);
  }

  /** Serves what is published. */
  serve(): { readonly url: string } & AsyncDisposable {
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      try {
        return new Response(Deno.readFileSync(`${this.folder.path}/public${new URL(request.url).pathname}`));
      } catch {
        return new Response(null, { status: 404 });
      }
    });
    const { port } = server.addr as Deno.NetAddr;
    return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.shutdown() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hsm.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function software(directory: string): Promise<Hsm> {
  ensureSecretFile(`${directory}/passphrase`);
  const logger = createLogger("test", { write: () => {} });
  return await openSoftwareHsm({
    file: `${directory}/hsm`,
    passphraseFile: `${directory}/passphrase`,
    logger,
  });
}
