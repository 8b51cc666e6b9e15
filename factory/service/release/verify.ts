/**
 * Verifies a whole repository from its files and a trusted root, as anybody can: every release's metadata, its package, its proof, and
 * the log from its first entry to its last.
 */

import { createHash } from "node:crypto";
import { fromUtf8, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { LogReader } from "shared/log/reader.ts";
import type { LogSource } from "shared/log/source.ts";
import { trustPolicy } from "shared/log/trust.ts";
import { verifyTlogProof } from "shared/log/verify_proof.ts";
import { describeCap } from "shared/protocol/cap/description.ts";
import { METADATA_BYTES_MAX, readMetadata } from "shared/protocol/release/document.ts";
import { proofPath, releaseEntry } from "shared/protocol/release/entry.ts";
import { latestRoot, type VerifiedRelease, verifyRelease } from "shared/protocol/release/metadata.ts";
import { PACKAGE_FILE_BYTES_MAX, parsePackageFile } from "shared/protocol/signed_package/package_file.ts";
import "../../domain/release/errors.ts";

/** Longest proof, in bytes. */
const PROOF_BYTES_MAX = 1_200_000;

/** What was verified. */
export interface VerifiedRepository {
  /** Version of the newest root. */
  readonly root: number;
  readonly releases: readonly VerifiedRelease[];
  readonly log: { readonly origin: string; readonly size: number; readonly root: string } | null;
  /** When the first document expires, in milliseconds since 1970. */
  readonly expires: number;
}

/**
 * Verifies everything.
 * @param trustedRoot a root that the caller trusts.
 * @throws {CodedError} what is wrong first: `RELEASE_*`, `PACKAGE_*`, `LOG_*`, `TLOG_PROOF_*`.
 */
export async function verifyRepository(
  source: LogSource,
  trustedRoot: Uint8Array,
  now: number,
): Promise<VerifiedRepository> {
  const read = async (path: string, maxBytes: number) => {
    const bytes = await source.read(path, maxBytes);
    if (bytes === undefined) {
      throw new CodedError("RELEASE_MISSING", `Cannot verify: ${source.name} has no ${path}`);
    }
    return bytes;
  };
  const roots: Uint8Array[] = [];
  const first = readMetadata("root", trustedRoot).signed.version;
  for (let version = first + 1;; version++) {
    const next = await source.read(`metadata/${version}.root.json`, METADATA_BYTES_MAX.root);
    if (next === undefined) break;
    roots.push(next);
  }
  const metadata = (kind: keyof typeof METADATA_BYTES_MAX, role: string, version?: number) =>
    read(`metadata/${version === undefined ? "" : `${version}.`}${role}.json`, METADATA_BYTES_MAX[kind]);
  const timestamp = await metadata("timestamp", "timestamp");
  const pointed = readMetadata("timestamp", timestamp).signed.snapshotMeta.version;
  const snapshot = await metadata("snapshot", "snapshot", pointed);
  const versionOf = (role: string) => readMetadata("snapshot", snapshot).signed.meta[`${role}.json`]?.version;
  const targets = await metadata("targets", "targets", versionOf("targets"));

  const releases: VerifiedRelease[] = [];
  for (const { name } of Object.values(readMetadata("targets", targets).signed.delegations?.roles ?? {})) {
    const product = await metadata("targets", name, versionOf(name));
    for (const path of Object.keys(readMetadata("targets", product, name).signed.targets)) {
      const bundle = { roots, timestamp, snapshot, targets, delegated: { [name]: product }, path };
      const release = verifyRelease(bundle, trustedRoot, now);
      await verifyPackage(release, read);
      releases.push(release);
    }
  }
  const trust = releases[0]?.transparency;
  return {
    root: latestRoot(roots, trustedRoot).signed.version,
    releases,
    log: trust === undefined ? null : await verifyLog(source, trust, releases, read),
    expires: Math.min(...releases.map(({ expires }) => expires)),
  };
}

type Read = (path: string, maxBytes: number) => Promise<Uint8Array>;

/** The package file is the one that was signed, and holds what its release says. */
async function verifyPackage({ path, length, sha256, release }: VerifiedRelease, read: Read): Promise<void> {
  const file = path.replace(/([^/]+)$/, `${sha256.toLowerCase()}.$1`);
  const bytes = await read(`targets/${file}`, PACKAGE_FILE_BYTES_MAX);
  const { loadFileDataBlockHash, packageAid } = describeCap(parsePackageFile(bytes).cap);
  const right = bytes.length === length && toHex(createHash("sha256").update(bytes).digest()) === sha256 &&
    loadFileDataBlockHash === release.loadFileHash && packageAid === release.packageAid;
  if (!right) {
    throw new CodedError("PACKAGE_ALTERED", `Cannot trust ${path}: it is not the package that was signed`);
  }
}

async function verifyLog(
  source: LogSource,
  trust: VerifiedRelease["transparency"],
  releases: readonly VerifiedRelease[],
  read: Read,
): Promise<VerifiedRepository["log"]> {
  const policy = trustPolicy(trust);
  const inLog: LogSource = {
    name: `${source.name}/log`,
    read: (path, max) => source.read(`log/${path}`, max),
  };
  const reader = await LogReader.open(inLog, policy);
  await reader.tree.verifyRoot();
  const entries = new Set<string>();
  for await (const { bytes } of reader.entries(0, reader.checkpoint.size)) entries.add(fromUtf8(bytes));
  for (const { release: { product, version }, path, length, sha256 } of releases) {
    const entry = releaseEntry({ product, version, path, length, sha256 });
    const { checkpoint } = verifyTlogProof(await read(proofPath(sha256), PROOF_BYTES_MAX), policy, entry);
    await reader.compareWith(checkpoint);
    if (!entries.has(fromUtf8(entry))) {
      throw new CodedError("LOG_PROOF_INVALID", `Cannot trust ${path}: it is not in the log of releases`);
    }
  }
  const { origin, size, root } = reader.checkpoint;
  return { origin, size, root: toHex(root) };
}
