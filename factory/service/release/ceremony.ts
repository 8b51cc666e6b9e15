/**
 * Steps of a release. What holders must sign is made pending; each signs at their own machine; `publish` takes it when enough have
 * signed, and signs snapshot and timestamp with the on-line key.
 */

import { CodedError } from "shared/base/errors.ts";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { LogTrust } from "shared/log/trust.ts";
import { readMetadata } from "shared/protocol/release/document.ts";
import { haltBytes, HALTS_MAX } from "shared/protocol/release/halt.ts";
import { signedBy } from "shared/protocol/release/metadata.ts";
import type { PublishedPackage } from "shared/protocol/release/entry.ts";
import { parseReleaseTarget, releasePath, type ReleaseTarget } from "shared/protocol/release/target.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import {
  type Holders,
  keyIdOf,
  type KeyJson,
  metaDocument,
  productDocument,
  requireHolders,
  requireSignable,
  rootDocument,
  type SignedJson,
  type TargetJson,
  targetsDocument,
  withRelease,
} from "../../domain/release/documents.ts";
import { keyJsonOf, withSignature } from "./keys.ts";
import { logReleases } from "./release_log.ts";
import type { Envelope, ReleaseFolder } from "./repository.ts";

/** Who signs what: `release.json` of the folder. Public halves only. */
export interface ReleaseSettings {
  readonly holders: Holders;
  /** Signs snapshot and timestamp. */
  readonly online: KeyJson;
  /** Ed25519 key that may halt. */
  readonly haltKey: KeyJson;
  readonly products: readonly string[];
  readonly transparency: LogTrust;
}

/** Labels of the on-line keys in their token. */
export interface OnlineLabels {
  readonly online: string;
  readonly log: string;
}

const SETTINGS = "release.json";

/** The settings of a folder. @throws {CodedError} `RELEASE_FOLDER`. */
export function settingsOf(folder: ReleaseFolder): ReleaseSettings {
  return JSON.parse(new TextDecoder().decode(folder.read(SETTINGS))) as ReleaseSettings;
}

/** Makes a repository: root, targets and an empty document for each product are pending. @throws {CodedError} `RELEASE_THRESHOLD`, `RELEASE_EXISTS`. */
export function initRelease(folder: ReleaseFolder, settings: ReleaseSettings, now: number): void {
  requireHolders(settings.holders);
  folder.make();
  keepSettings(folder, settings);
  pend(folder, "root", rootDocument(1, settings.holders, settings.online, now));
  pend(folder, "targets", targetsOf(settings, 1, now));
  for (const product of settings.products) pend(folder, product, productDocument(1, {}, now));
}

/** What `add` is told; the halt key is the repository's. */
export type AddedRelease = Omit<ReleaseTarget, "format" | "halt">;

/**
 * Makes a release pending.
 * @param file bytes of the `.rkpkg`.
 * @param hash its SHA-256, hex.
 * @throws {CodedError} `RELEASE_EXISTS`, `RELEASE_COUNTER`, `RELEASE_TARGET`, `RELEASE_MISSING` for another product.
 */
export function addRelease(
  folder: ReleaseFolder,
  added: AddedRelease,
  file: Uint8Array,
  hash: string,
  now: number,
): string {
  const settings = settingsOf(folder);
  requireProduct(settings, added.product);
  const custom = parseReleaseTarget({
    format: "rk-release-1",
    ...added,
    halt: { publicKey: haltKeyOf(settings), resumed: 0 },
  });
  const target = { length: file.length, hashes: { sha256: hash.toLowerCase() }, custom };
  const targets = withRelease(targetsIn(folder, added.product), target);
  folder.write(`packages/${hash.toLowerCase()}`, file);
  pendProduct(folder, added.product, targets, now);
  return releasePath(added.product, added.version);
}

/** Makes it pending that a halted release goes on: its holders sign it again above every halt that there was. */
export function resumeRelease(folder: ReleaseFolder, product: string, version: string, now: number): void {
  const settings = settingsOf(folder);
  requireProduct(settings, product);
  const targets = targetsIn(folder, product);
  const path = releasePath(product, version);
  const found = targets[path];
  if (found === undefined) throw missing(product, version);
  const resumed = Math.max(
    0,
    ...folder.halts().filter((halt) => halt.product === product).map(({ number }) => number),
  );
  const custom = { ...found.custom, halt: { publicKey: haltKeyOf(settings), resumed } };
  pendProduct(folder, product, { ...targets, [path]: { ...found, custom } }, now);
}

/** Makes new holders, a new threshold or a new on-line key pending: everything that they sign is signed again. */
export function rotateKeys(
  folder: ReleaseFolder,
  changes: Partial<Pick<ReleaseSettings, "holders" | "online">>,
  now: number,
): void {
  const settings = { ...settingsOf(folder), ...changes };
  requireHolders(settings.holders);
  if (folder.newest("root") === 0) {
    throw new CodedError("RELEASE_PENDING", "Cannot rotate keys: the first root is not published");
  }
  keepSettings(folder, settings);
  pend(folder, "root", rootDocument(folder.newest("root") + 1, settings.holders, settings.online, now));
  pend(folder, "targets", targetsOf(settings, folder.newest("targets") + 1, now));
  for (const product of settings.products) pendProduct(folder, product, targetsIn(folder, product), now);
}

/**
 * Signs what is pending with a holder's key: everything that the key is asked for, or one role.
 * @returns roles that were signed.
 * @throws {CodedError} `RELEASE_HOLDER` when the key signs nothing of it; what `requireSignable` throws.
 */
export async function signPending(
  folder: ReleaseFolder,
  hsm: Hsm,
  label: string,
  only?: string,
): Promise<string[]> {
  const id = keyIdOf(await keyJsonOf(hsm, label));
  const allowed = new Set(settingsOf(folder).holders.keys.map(keyIdOf));
  // A new root is signed by those before, too.
  const before = folder.newest("root") === 0 ? [] : keyIdsOf(folder.published("root").signed);
  const signed: string[] = [];
  for (const [role, envelope] of folder.pending()) {
    if (only !== undefined && role !== only) continue;
    if (!allowed.has(id) && !(role === "root" && before.includes(id))) continue;
    requireSignable(role, envelope.signed);
    folder.keepPending(role, await withSignature(hsm, label, envelope));
    signed.push(role);
  }
  if (signed.length === 0) {
    throw new CodedError(
      "RELEASE_HOLDER",
      `Cannot sign with key ${label}: nothing that is pending asks for it`,
    );
  }
  return signed;
}

/**
 * Publishes what is pending, logs every package, and signs snapshot and timestamp anew. With nothing pending it keeps the repository
 * fresh.
 * @returns roles that were published.
 * @throws {CodedError} `RELEASE_PENDING` when too few have signed: then nothing is published.
 */
export async function publishRelease(
  folder: ReleaseFolder,
  hsm: Hsm,
  labels: OnlineLabels,
  now: number,
): Promise<string[]> {
  const settings = settingsOf(folder);
  const pending = folder.pending();
  requireSigned(folder, pending);
  const targets = settings.products.flatMap((product) => Object.entries(targetsIn(folder, product)));
  for (const [path, { hashes: { sha256 } }] of targets) {
    const place = path.replace(/([^/]+)$/, `${sha256}.$1`);
    if (!folder.exists(`public/targets/${place}`)) {
      folder.write(`public/targets/${place}`, folder.read(`packages/${sha256}`));
    }
  }
  await logReleases(folder, hsm, labels.log, settings.transparency, targets.map(packageOf));
  for (const [role, envelope] of pending) {
    folder.publish(role, envelope);
    folder.remove(`pending/${encodeURIComponent(role)}.json`);
  }
  await freshen(folder, hsm, labels.online, now, true);
  return [...pending.keys()];
}

/**
 * Signs snapshot and timestamp anew, so that what is published stays valid while something pending waits for its holders.
 * @throws {CodedError} `RELEASE_PENDING` when nothing was published yet.
 */
export async function freshenRelease(
  folder: ReleaseFolder,
  hsm: Hsm,
  onlineLabel: string,
  now: number,
): Promise<void> {
  requireSigned(folder, new Map());
  await freshen(folder, hsm, onlineLabel, now, true);
}

/**
 * Halts a release: with the halt key alone, and at once.
 * @throws {CodedError} `RELEASE_MISSING`, `RELEASE_HOLDER` for another key, `RELEASE_HALT` when there are too many.
 */
export async function haltRelease(
  folder: ReleaseFolder,
  hsm: Hsm,
  labels: { readonly halt: string; readonly online: string },
  { product, version, reason }: {
    readonly product: string;
    readonly version: string;
    readonly reason: string;
  },
  now: number,
): Promise<number> {
  const settings = settingsOf(folder);
  if (keyIdOf(await keyJsonOf(hsm, labels.halt)) !== keyIdOf(settings.haltKey)) {
    throw new CodedError("RELEASE_HOLDER", `Cannot halt with key ${labels.halt}: it is not the halt key`);
  }
  if (targetsIn(folder, product)[releasePath(product, version)] === undefined) {
    throw missing(product, version);
  }
  const halts = folder.halts();
  const number = Math.max(0, ...halts.map((halt) => halt.number)) + 1;
  const statement = {
    format: "rk-halt-1" as const,
    product,
    version,
    number,
    reason,
    at: new Date(now).toISOString(),
  };
  const signature = toHex(await hsm.sign(labels.halt, haltBytes(statement)));
  const others = halts.filter((halt) => halt.product !== product || halt.version !== version);
  if (others.length >= HALTS_MAX) {
    throw new CodedError("RELEASE_HALT", `Cannot halt: ${others.length} halts are there`);
  }
  folder.keepHalts([...others, { ...statement, signature }]);
  await freshen(folder, hsm, labels.online, now, false);
  return number;
}

/** A target as the log has it. */
export function packageOf([path, { length, hashes, custom }]: [string, TargetJson]): PublishedPackage {
  return {
    product: custom.product,
    version: custom.version,
    path,
    length,
    sha256: hashes.sha256.toUpperCase(),
  };
}

/** Targets of a product: of the pending document, or the published one. */
export function targetsIn(folder: ReleaseFolder, product: string): Record<string, TargetJson> {
  const pending = folder.pending().get(product);
  if (pending === undefined) return publishedTargetsIn(folder, product);
  return (pending.signed.targets ?? {}) as Record<string, TargetJson>;
}

/** Targets of a product's published document. */
export function publishedTargetsIn(folder: ReleaseFolder, product: string): Record<string, TargetJson> {
  if (folder.newest(product) === 0) return {};
  return (folder.published(product).signed.targets ?? {}) as Record<string, TargetJson>;
}

/** Snapshot and timestamp, or the timestamp alone, by the on-line key. */
async function freshen(
  folder: ReleaseFolder,
  hsm: Hsm,
  label: string,
  now: number,
  snapshot: boolean,
): Promise<void> {
  const settings = settingsOf(folder);
  const publish = async (role: string, signed: SignedJson) =>
    folder.publish(role, await withSignature(hsm, label, { signatures: [], signed }));
  if (snapshot) {
    const roles = ["targets", ...settings.products];
    const meta = Object.fromEntries(roles.map((role) => [`${role}.json`, folder.metaOf(role)]));
    await publish("snapshot", metaDocument("snapshot", folder.newest("snapshot") + 1, meta, now));
  }
  const meta = { "snapshot.json": folder.metaOf("snapshot") };
  const halts = folder.halts();
  const version = folder.newest("timestamp") + 1;
  await publish("timestamp", metaDocument("timestamp", version, meta, now, { halts }));
}

function requireSigned(folder: ReleaseFolder, pending: ReadonlyMap<string, Envelope>): void {
  const bytesOf = (role: string) => {
    const envelope = pending.get(role) ?? (folder.newest(role) === 0 ? undefined : folder.published(role));
    if (envelope === undefined) {
      throw new CodedError("RELEASE_PENDING", `Cannot publish: there is no ${role}`);
    }
    return toUtf8(JSON.stringify(envelope));
  };
  try {
    const root = readMetadata("root", bytesOf("root"));
    signedBy(root, "root", root);
    if (pending.has("root") && folder.newest("root") > 0) {
      signedBy(readMetadata("root", toUtf8(JSON.stringify(folder.published("root")))), "root", root);
    }
    const targets = signedBy(root, "targets", readMetadata("targets", bytesOf("targets")));
    for (const product of settingsOf(folder).products) {
      signedBy(targets, product, readMetadata("targets", bytesOf(product), product));
    }
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== "RELEASE_SIGNATURES") throw error;
    // Of a role whose holders change, two groups sign: the words say which of them lack.
    throw new CodedError(
      "RELEASE_PENDING",
      error.message.replace("Cannot use", "Cannot publish"),
      error.details,
      error,
    );
  }
}

function pend(folder: ReleaseFolder, role: string, signed: SignedJson): void {
  folder.keepPending(role, { signatures: [], signed });
}

function pendProduct(
  folder: ReleaseFolder,
  product: string,
  targets: Readonly<Record<string, TargetJson>>,
  now: number,
): void {
  pend(folder, product, productDocument(folder.newest(product) + 1, targets, now));
}

function targetsOf(
  { products, holders, transparency }: ReleaseSettings,
  version: number,
  now: number,
): SignedJson {
  return targetsDocument(version, products, holders, transparency, now);
}

function keepSettings(folder: ReleaseFolder, settings: ReleaseSettings): void {
  folder.write(SETTINGS, toUtf8(JSON.stringify(settings, null, 1) + "\n"));
}

function keyIdsOf(root: SignedJson): string[] {
  return (root.roles as { root: { keyids: string[] } }).root.keyids;
}

function haltKeyOf({ haltKey }: ReleaseSettings): string {
  return haltKey.keyval.public.toUpperCase();
}

function requireProduct({ products }: ReleaseSettings, product: string): void {
  if (!products.includes(product)) {
    throw new CodedError(
      "RELEASE_MISSING",
      `Cannot use ${product}: this repository has ${products.join(", ")}`,
    );
  }
}

function missing(product: string, version: string): CodedError {
  return new CodedError("RELEASE_MISSING", `Cannot use ${product} ${version}: it is not in this repository`);
}
