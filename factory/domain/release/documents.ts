/** Signed parts of a repository's documents, made as plain JSON. The Update Framework 1.0.31, section 4. No clock, no keys of ours. */

import { createHash } from "node:crypto";
import { canonicalize } from "@tufjs/canonical-json";
import { CodedError } from "shared/base/errors.ts";
import type { LogTrust } from "shared/log/trust.ts";
import { RELEASE_KEYS_MIN, RELEASE_THRESHOLD_MIN } from "shared/protocol/release/metadata.ts";
import {
  compareVersions,
  parseReleaseTarget,
  releasePath,
  type ReleaseTarget,
} from "shared/protocol/release/target.ts";
import "./errors.ts";

/** A public key as metadata has it. */
export interface KeyJson {
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: { readonly public: string };
}

/** JSON of a signed part. */
export type SignedJson = Record<string, unknown> & {
  readonly _type: string;
  readonly version: number;
  readonly expires: string;
};

const DAY_MS = 86_400_000;
/** How long each kind of document lives, in days. */
export const LIFETIME_DAYS = { root: 400, targets: 120, snapshot: 7, timestamp: 1 } as const;

/** Identifier of a key: SHA-256 of its canonical JSON, hex. Section 4.2. */
export function keyIdOf(key: KeyJson): string {
  return createHash("sha256").update(canonicalize(key)).digest("hex");
}

function common(kind: keyof typeof LIFETIME_DAYS, version: number, now: number) {
  const expires = new Date(now + LIFETIME_DAYS[kind] * DAY_MS).toISOString().replace(/\.\d+Z$/, "Z");
  return { _type: kind, spec_version: "1.0.31", version, expires };
}

function keysById(keys: readonly KeyJson[]): Record<string, KeyJson> {
  return Object.fromEntries(keys.map((key) => [keyIdOf(key), key]));
}

/** Key holders of a role. */
export interface Holders {
  readonly keys: readonly KeyJson[];
  readonly threshold: number;
}

/** Refuses holders of whom too few sign, or too few are. @throws {CodedError} `RELEASE_THRESHOLD`. */
export function requireHolders({ keys, threshold }: Holders): void {
  const different = new Set(keys.map((key) => key.keyval.public)).size;
  if (threshold >= RELEASE_THRESHOLD_MIN && different >= RELEASE_KEYS_MIN && threshold <= different) return;
  throw new CodedError(
    "RELEASE_THRESHOLD",
    `Cannot use ${threshold} of ${different} different keys: at least 3 of 5 holders sign releases`,
  );
}

/**
 * Root: the holders sign root and targets, one on-line key snapshot and timestamp.
 * @throws {CodedError} `RELEASE_THRESHOLD`.
 */
export function rootDocument(version: number, holders: Holders, online: KeyJson, now: number): SignedJson {
  requireHolders(holders);
  const held = { keyids: holders.keys.map(keyIdOf), threshold: holders.threshold };
  const single = { keyids: [keyIdOf(online)], threshold: 1 };
  return {
    ...common("root", version, now),
    consistent_snapshot: true,
    keys: keysById([...holders.keys, online]),
    roles: { root: held, targets: held, snapshot: single, timestamp: single },
  };
}

/** Targets: delegates each product's paths to its role, and names the log of releases. @throws {CodedError} `RELEASE_THRESHOLD`. */
export function targetsDocument(
  version: number,
  products: readonly string[],
  holders: Holders,
  transparency: LogTrust,
  now: number,
): SignedJson {
  requireHolders(holders);
  return {
    ...common("targets", version, now),
    targets: {},
    delegations: {
      keys: keysById(holders.keys),
      roles: products.map((name) => ({
        name,
        keyids: holders.keys.map(keyIdOf),
        threshold: holders.threshold,
        terminating: true,
        // A star does not go over a slash: PRODUCT/VERSION/FILE.
        paths: [`${name}/*/*`],
      })),
    },
    transparency,
  };
}

/** A package as a product's document has it. */
export interface TargetJson {
  readonly length: number;
  readonly hashes: { readonly sha256: string };
  readonly custom: ReleaseTarget;
}

/** A product's document. */
export function productDocument(
  version: number,
  targets: Readonly<Record<string, TargetJson>>,
  now: number,
): SignedJson {
  return { ...common("targets", version, now), targets };
}

/** What a snapshot says of a document. */
export interface MetaJson {
  readonly version: number;
  readonly length: number;
  readonly hashes: { readonly sha256: string };
}

/** Snapshot, or with `halts` timestamp: versions, lengths and hashes of documents by file name. */
export function metaDocument(
  kind: "snapshot" | "timestamp",
  version: number,
  meta: Readonly<Record<string, MetaJson>>,
  now: number,
  more: Readonly<Record<string, unknown>> = {},
): SignedJson {
  return { ...common(kind, version, now), meta, ...more };
}

/**
 * Adds a release to those of its product.
 * @throws {CodedError} `RELEASE_EXISTS`, `RELEASE_COUNTER` when its security counter is below that of a release which it may
 *   replace or of an older one.
 */
export function withRelease(
  known: Readonly<Record<string, TargetJson>>,
  added: TargetJson,
): Record<string, TargetJson> {
  const { product, version, securityCounter, replaces } = added.custom;
  const path = releasePath(product, version);
  if (Object.hasOwn(known, path)) {
    throw new CodedError("RELEASE_EXISTS", `Cannot add ${product} ${version}: it is there already`);
  }
  for (const { custom } of Object.values(known)) {
    const before = compareVersions(custom.version, version) < 0 || replaces.includes(custom.version);
    if (before && custom.securityCounter > securityCounter) {
      throw new CodedError(
        "RELEASE_COUNTER",
        `Cannot add ${product} ${version}: its security counter is ${securityCounter}, that of ${custom.version} ${custom.securityCounter}`,
      );
    }
  }
  const newer = replaces.find((each) => compareVersions(each, version) >= 0);
  if (newer !== undefined) {
    throw new CodedError("RELEASE_COUNTER", `Cannot add ${product} ${version}: it would replace ${newer}`);
  }
  return { ...known, [path]: added };
}

/** Keys and threshold as a document gives them to a role. */
interface RoleJson {
  readonly keyids: readonly string[];
  readonly threshold: number;
}

/**
 * What a holder's own machine refuses to sign, whoever made it pending: root or targets that give releases to fewer than 3 of 5, and
 * a product's release that says too little.
 * @throws {CodedError} `RELEASE_THRESHOLD`, `RELEASE_TARGET`.
 */
export function requireSignable(role: string, signed: SignedJson): void {
  const { roles, delegations, targets } = signed as {
    readonly roles?: { readonly root: RoleJson; readonly targets: RoleJson };
    readonly delegations?: { readonly roles: readonly RoleJson[] };
    readonly targets?: Readonly<Record<string, { readonly custom: unknown }>>;
  };
  for (
    const { keyids, threshold } of [
      ...(roles ? [roles.root, roles.targets] : []),
      ...delegations?.roles ?? [],
    ]
  ) {
    if (threshold >= RELEASE_THRESHOLD_MIN && new Set(keyids).size >= RELEASE_KEYS_MIN) continue;
    throw new CodedError(
      "RELEASE_THRESHOLD",
      `Cannot sign ${role}: it gives releases to ${threshold} of ${keyids.length} holders, at least 3 of 5 must sign`,
    );
  }
  for (const { custom } of Object.values(targets ?? {})) parseReleaseTarget(custom);
}
