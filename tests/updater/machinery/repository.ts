/** A repository of releases in memory: metadata of The Update Framework signed by keys made here. For tests. */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { canonicalJson, type Json } from "shared/base/canonical_json.ts";
import type { Secret } from "shared/base/secret.ts";
import { ed25519PublicKeyOf, ed25519Sign, generateEd25519PrivateKey } from "shared/crypto/ed25519.ts";
import { formatVerifierKey, SIGNATURE_TYPE_ED25519, verifierKey } from "shared/log/vkey.ts";
import { haltBytes } from "shared/protocol/release/halt.ts";
import { type ReleaseBundle, verifyRelease } from "shared/protocol/release/metadata.ts";
import { releasePath, type ReleaseTarget } from "shared/protocol/release/target.ts";
import { parsePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { FoundRelease, ReleasePort } from "device/update/ports.ts";

const EXPIRES = "2099-01-01T00:00:00Z";
const ROLES = { root: 3, targets: 3, snapshot: 1, timestamp: 1 } as const;

interface Signer {
  readonly id: string;
  readonly key: Secret;
  readonly json: { readonly [key: string]: Json };
}

function signer(): Signer {
  const key = generateEd25519PrivateKey(SYSTEM_RANDOM);
  const json = {
    keytype: "ed25519",
    scheme: "ed25519",
    keyval: { public: toHex(ed25519PublicKeyOf(key)).toLowerCase() },
  };
  return { id: toHex(sha256(toUtf8(canonicalJson(json)))).toLowerCase(), key, json };
}

function document(signed: { readonly [key: string]: Json }, signers: readonly Signer[]): Uint8Array {
  const bytes = toUtf8(canonicalJson(signed));
  const signatures = signers.map(({ id, key }) => ({
    keyid: id,
    sig: toHex(ed25519Sign(key, bytes)).toLowerCase(),
  }));
  return toUtf8(JSON.stringify({ signatures, signed }));
}

const hashOf = (bytes: Uint8Array) => toHex(sha256(bytes)).toLowerCase();

/** The repository. */
export interface TestRepository extends ReleasePort {
  readonly trustedRoot: Uint8Array;
  /** Publishes a package file. */
  publish(file: Uint8Array, change?: Partial<ReleaseTarget>): void;
  /** Halts a version, by the key that its release names. */
  halt(version: string): void;
  /** Documents and path of a version. */
  bundle(version: string): ReleaseBundle;
}

/** Makes an empty one. @param weak role that two signatures are enough for, which no wallet and no vault may take. */
export function testRepository(weak?: "root" | "targets" | "recovery-key"): TestRepository {
  const keys = Array.from({ length: 5 }, signer);
  const online = signer();
  const haltKey = generateEd25519PrivateKey(SYSTEM_RANDOM);
  const files = new Map<string, Uint8Array>();
  const targets: Record<string, Json> = {};
  const halts: Json[] = [];
  let version = 0;
  const role = (threshold: number) => ({
    keyids: threshold === 1 ? [online.id] : keys.map(({ id }) => id),
    threshold,
  });
  const origin = "local.invalid/releases";
  const logKey = verifierKey(origin, SIGNATURE_TYPE_ED25519, ed25519PublicKeyOf(haltKey));
  const transparency = { origin, log: [formatVerifierKey(logKey)], witnesses: [], quorum: 0 };
  const common = { spec_version: "1.0.31", expires: EXPIRES };
  const trustedRoot = document({
    ...common,
    _type: "root",
    version: 1,
    consistent_snapshot: true,
    keys: Object.fromEntries([...keys, online].map(({ id, json }) => [id, json])),
    roles: Object.fromEntries(
      Object.entries(ROLES).map(([name, threshold]) => [name, role(name === weak ? 2 : threshold)]),
    ),
  }, keys.slice(0, 3));
  let documents: Omit<ReleaseBundle, "path">;
  const sign = () => {
    version++;
    const product = document({ ...common, _type: "targets", version, targets }, keys.slice(1, 4));
    const top = document({
      ...common,
      _type: "targets",
      version,
      targets: {},
      transparency,
      delegations: {
        keys: Object.fromEntries(keys.map(({ id, json }) => [id, json])),
        roles: [{
          name: "recovery-key",
          ...role(weak === "recovery-key" ? 2 : 3),
          terminating: true,
          paths: ["recovery-key/*/*"],
        }],
      },
    }, keys.slice(2, 5));
    const meta = (bytes: Uint8Array) => ({
      version,
      length: bytes.length,
      hashes: { sha256: hashOf(bytes) },
    });
    const snapshot = document({
      ...common,
      _type: "snapshot",
      version,
      meta: { "targets.json": meta(top), "recovery-key.json": meta(product) },
    }, [online]);
    const timestamp = document({
      ...common,
      _type: "timestamp",
      version,
      meta: { "snapshot.json": meta(snapshot) },
      halts,
    }, [online]);
    documents = { roots: [], timestamp, snapshot, targets: top, delegated: { "recovery-key": product } };
  };
  sign();
  const bundle = (of: string): ReleaseBundle => ({ ...documents, path: releasePath("recovery-key", of) });
  const find = (of: string): FoundRelease | undefined => {
    const file = files.get(of);
    return file && {
      bundle: bundle(of),
      verified: verifyRelease(bundle(of), trustedRoot, Date.now()),
      fetch: () => Promise.resolve(file.slice()),
    };
  };
  return {
    trustedRoot,
    bundle,
    publish(file, change = {}) {
      const { cap } = parsePackageFile(file);
      const named = `${cap.version.major}.${cap.version.minor}`;
      const custom: ReleaseTarget = {
        format: "rk-release-1",
        product: "recovery-key",
        version: named,
        packageAid: toHex(cap.packageAid),
        loadFileHash: toHex(cap.sha256),
        replaces: ["1.0"],
        securityCounter: 1,
        chips: [{ chip: "P71D600", os: "JCOP 4.5" }],
        source: { url: "https://example.org/source", hash: "00".repeat(32) },
        build: { hash: toHex(cap.fileSha256) },
        notes: "GET STATUS tells the hash of the installed package.",
        halt: { publicKey: toHex(ed25519PublicKeyOf(haltKey)), resumed: 0 },
        ...change,
      };
      files.set(named, file);
      targets[releasePath("recovery-key", named)] = {
        length: file.length,
        hashes: { sha256: hashOf(file) },
        custom: custom as unknown as Json,
      };
      sign();
    },
    halt(of) {
      const statement = {
        format: "rk-halt-1",
        product: "recovery-key",
        version: of,
        number: halts.length + 1,
        reason: "a fault was found",
        at: "2026-01-01T00:00:00Z",
      } as const;
      halts.push({ ...statement, signature: toHex(ed25519Sign(haltKey, haltBytes(statement))) });
      sign();
    },
    choose: () => Promise.resolve(find([...files.keys()].sort().at(-1) ?? "")),
    newest: () => Promise.resolve(find([...files.keys()].sort().at(-1) ?? "")),
    find: (_product, of) => Promise.resolve(find(of)),
  };
}
