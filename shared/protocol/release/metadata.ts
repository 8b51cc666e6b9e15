/**
 * Verifies a release without network or clock: everything that a client of The Update Framework (1.0.31, section 5) fetched on
 * its way to one target, checked again from a trusted root. This is what a vault does that believes nobody.
 */

import { createHash } from "node:crypto";
import type { Metadata, MetaFile, Root, Targets } from "@tufjs/models";
import { toHex } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { LogTrust } from "../../log/trust.ts";
import { BUNDLE_ROOTS_MAX } from "./bounds.ts";
import { readMetadata, type SignedOf } from "./document.ts";
import { type Halt, haltOf, type HaltStatement, parseHalts } from "./halt.ts";
import { delegationOf, requireThreshold } from "./signatures.ts";
import { parseReleaseTarget, type ReleaseTarget, ReleaseTargetSchema } from "./target.ts";
import "./errors.ts";

/** Fewest signatures on root, targets and a product's role. */
export const RELEASE_THRESHOLD_MIN = 3;
/** Fewest keys for those. */
export const RELEASE_KEYS_MIN = 5;

/** Documents on the way to one target. */
export interface ReleaseBundle {
  /** Roots in order; those that are not newer than the trusted one are passed over. */
  readonly roots: readonly Uint8Array[];
  readonly timestamp: Uint8Array;
  readonly snapshot: Uint8Array;
  readonly targets: Uint8Array;
  /** Delegated roles on the way, by name: the product's. */
  readonly delegated: Readonly<Record<string, Uint8Array>>;
  /** Path of the target. */
  readonly path: string;
}

/** A release whose metadata was verified. */
export interface VerifiedRelease {
  readonly path: string;
  /** Bytes of the package file. */
  readonly length: number;
  /** SHA-256 of the package file, upper-case hex. */
  readonly sha256: string;
  readonly release: ReleaseTarget;
  /** Every release of its product, itself among them. */
  readonly releases: readonly ReleaseTarget[];
  /** Why its rollout is stopped; a card in the middle of its update goes on all the same. */
  readonly halted: HaltStatement | undefined;
  /** Every halt that the timestamp carries. */
  readonly halts: readonly Halt[];
  /** The log that must have the release: its keys, as the key holders signed them. */
  readonly transparency: LogTrust;
  /** Version of each document, by role. */
  readonly versions: Readonly<Record<string, number>>;
  /** When the first of the documents expires, in milliseconds since 1970. */
  readonly expires: number;
}

/**
 * Verifies a bundle: chain of roots, thresholds and their signatures, versions, lengths and hashes, expiry, and that the
 * product's own role signed the target.
 * @param trustedRoot a root that is trusted already.
 * @param now milliseconds since 1970.
 * @throws {CodedError} `RELEASE_METADATA`, `RELEASE_SIGNATURES`, `RELEASE_VERSION`, `RELEASE_EXPIRED`, `RELEASE_THRESHOLD`,
 *   `RELEASE_MISSING`, `RELEASE_TARGET`, `RELEASE_HALT`.
 */
export function verifyRelease(bundle: ReleaseBundle, trustedRoot: Uint8Array, now: number): VerifiedRelease {
  const root = latestRoot(bundle.roots, trustedRoot);
  requireFresh("root", root, now);
  for (const name of ["root", "targets"]) requireStrong(name, root.signed.roles[name]!);

  const timestamp = signedBy(root, "timestamp", readMetadata("timestamp", bundle.timestamp));
  requireFresh("timestamp", timestamp, now);

  requireMeta("snapshot", timestamp.signed.snapshotMeta, bundle.snapshot);
  const snapshot = signedBy(root, "snapshot", readMetadata("snapshot", bundle.snapshot));
  requireVersion("snapshot", snapshot.signed.version, timestamp.signed.snapshotMeta.version);
  requireFresh("snapshot", snapshot, now);

  /** A document of kind `targets`, as the snapshot has it and its delegator signed it. */
  const targetsOf = (name: string, bytes: Uint8Array | undefined, delegator: Metadata<Root | Targets>) => {
    const meta = Object.hasOwn(snapshot.signed.meta, `${name}.json`)
      ? snapshot.signed.meta[`${name}.json`]
      : undefined;
    if (bytes === undefined || meta === undefined) throw missing(bundle.path);
    requireMeta(name, meta, bytes);
    const targets = signedBy(delegator, name, readMetadata("targets", bytes, name));
    requireVersion(name, targets.signed.version, meta.version);
    requireFresh(name, targets, now);
    return targets;
  };
  const targets = targetsOf("targets", bundle.targets, root);
  const role = Object.values(targets.signed.delegations?.roles ?? {})
    .find((each) => each.isDelegatedPath(bundle.path));
  if (role === undefined) throw missing(bundle.path);
  requireStrong(role.name, role);
  const product = targetsOf(role.name, bundle.delegated[role.name], targets);

  const found = Object.hasOwn(product.signed.targets, bundle.path)
    ? product.signed.targets[bundle.path]
    : undefined;
  const sha256 = found?.hashes.sha256?.toUpperCase();
  if (found === undefined || sha256 === undefined) throw missing(bundle.path);
  const release = parseReleaseTarget(found.custom);
  if (release.product !== role.name) {
    throw new CodedError("RELEASE_TARGET", `Cannot use release: ${role.name} signed a ${release.product}`);
  }
  const halts = parseHalts(timestamp.signed.unrecognizedFields.halts ?? []);
  const documents = { root, timestamp, snapshot, targets, [role.name]: product };
  return {
    path: bundle.path,
    length: found.length,
    sha256,
    release,
    releases: Object.values(product.signed.targets).flatMap(({ custom }) => readable(custom)),
    halted: haltOf(release, halts),
    halts,
    transparency: transparencyOf(targets.signed),
    versions: Object.fromEntries(
      Object.entries(documents).map(([name, each]) => [name, each.signed.version]),
    ),
    expires: Math.min(...Object.values(documents).map((each) => Date.parse(each.signed.expires))),
  };
}

/** A release of a format that is not known yet is none for us; it does not spoil the others. */
function readable(custom: unknown): ReleaseTarget[] {
  const parsed = ReleaseTargetSchema.safeParse(custom);
  return parsed.success ? [parsed.data] : [];
}

function transparencyOf({ unrecognizedFields }: Targets): LogTrust {
  const parsed = LogTrust.safeParse(unrecognizedFields.transparency);
  if (parsed.success) return parsed.data;
  throw new CodedError("RELEASE_METADATA", "Cannot use targets metadata: it names no log of releases", {
    role: "targets",
  });
}

/** The newest root of a chain: each is signed by the one before it and by itself. Section 5.3. */
export function latestRoot(roots: readonly Uint8Array[], trustedRoot: Uint8Array): Metadata<Root> {
  if (roots.length > BUNDLE_ROOTS_MAX) {
    throw new CodedError("RELEASE_METADATA", `Cannot use root metadata: a chain of ${roots.length}`);
  }
  const first = readMetadata("root", trustedRoot);
  let trusted = signedBy(first, "root", first);
  for (const bytes of roots) {
    const next = readMetadata("root", bytes);
    if (next.signed.version <= trusted.signed.version) continue;
    signedBy(trusted, "root", next);
    requireVersion("root", next.signed.version, trusted.signed.version + 1);
    trusted = signedBy(next, "root", next);
  }
  return trusted;
}

/** Passes a document that its delegator's keys signed. @throws {CodedError} `RELEASE_SIGNATURES`. */
export function signedBy<T extends SignedOf[keyof SignedOf]>(
  delegator: Metadata<Root | Targets>,
  name: string,
  document: Metadata<T>,
): Metadata<T> {
  const { role, keys } = delegationOf(delegator, name);
  requireThreshold(name, role, keys, document as Metadata<SignedOf[keyof SignedOf]>);
  return document;
}

function requireStrong(
  name: string,
  { threshold, keyIDs }: { readonly threshold: number; readonly keyIDs: readonly string[] },
): void {
  if (threshold >= RELEASE_THRESHOLD_MIN && keyIDs.length >= RELEASE_KEYS_MIN) return;
  throw new CodedError(
    "RELEASE_THRESHOLD",
    `Cannot use ${name} metadata: ${threshold} of ${keyIDs.length} key holders sign it, at least 3 of 5 must`,
    { role: name, threshold, keys: keyIDs.length },
  );
}

function requireFresh(
  role: string,
  { signed: { expires } }: Metadata<SignedOf[keyof SignedOf]>,
  now: number,
) {
  if (now < Date.parse(expires)) return;
  throw new CodedError("RELEASE_EXPIRED", `Cannot use ${role} metadata: it expired at ${expires}`, { role });
}

function requireVersion(role: string, version: number, expected: number): void {
  if (version === expected) return;
  throw new CodedError(
    "RELEASE_VERSION",
    `Cannot use ${role} metadata: it is version ${version}, version ${expected} was expected`,
    { role, version, expected },
  );
}

function requireMeta(role: string, meta: MetaFile, bytes: Uint8Array): void {
  const sha256 = toHex(createHash("sha256").update(bytes).digest()).toLowerCase();
  const right = (meta.length === undefined || meta.length === bytes.length) &&
    (meta.hashes?.sha256 === undefined || meta.hashes.sha256 === sha256);
  if (right) return;
  throw new CodedError("RELEASE_METADATA", `Cannot use ${role} metadata: its length or hash is another`, {
    role,
  });
}

function missing(path: string): CodedError {
  return new CodedError("RELEASE_MISSING", `Cannot use release: nobody signed ${path}`, { path });
}
