/**
 * Reading one metadata document of The Update Framework (1.0.31, section 4) more strictly than the library does: what has two
 * readings, or would never expire, is refused before the library sees it.
 */

import type { Metadata as Document, Root, Snapshot, Targets, Timestamp } from "@tufjs/models";
import { CodedError } from "../../base/errors.ts";
import { Metadata, MetadataKind } from "./library.ts";
import "./errors.ts";

/** The signed part, by kind. */
export interface SignedOf {
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly targets: Targets;
}
/** `root`, `timestamp`, `snapshot` or `targets`; delegated roles are of kind `targets`. */
export type Kind = keyof SignedOf;

/** Largest document of each kind, in bytes: endless data is refused. */
export const METADATA_BYTES_MAX: Readonly<Record<Kind, number>> = {
  root: 512_000,
  timestamp: 32_768,
  snapshot: 2_000_000,
  targets: 5_000_000,
};

/** Section 4.2.1: `YYYY-MM-DDTHH:MM:SSZ`; some repositories write parts of seconds. */
const DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/;

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a document; no signature is verified.
 * @throws {CodedError} `RELEASE_METADATA` naming the role and what is wrong.
 */
export function readMetadata<K extends Kind>(
  kind: K,
  bytes: Uint8Array,
  role: string = kind,
): Document<SignedOf[K]> {
  if (bytes.length > METADATA_BYTES_MAX[kind]) throw wrong(role, `it has ${bytes.length} bytes`);
  const value = checkDocument(role, bytes);
  try {
    return Metadata.fromJSON(KINDS[kind] as never, value as never) as unknown as Document<SignedOf[K]>;
  } catch (error) {
    throw wrong(role, error instanceof Error ? error.message : "it has another form");
  }
}

/**
 * Refuses what the library lets pass: a date that is none is never over, a version that is no whole number compares as it likes.
 * @returns the document as JSON.
 * @throws {CodedError} `RELEASE_METADATA`.
 */
export function checkDocument(role: string, bytes: Uint8Array): Json {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw wrong(role, "it is not JSON");
  }
  if (!isObject(value) || !isObject(value.signed)) throw wrong(role, "it has no signed part");
  const { version, expires } = value.signed;
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    throw wrong(role, "its version is not a whole number from 1");
  }
  if (typeof expires !== "string" || !DATE.test(expires) || Number.isNaN(Date.parse(expires))) {
    throw wrong(role, "its date of expiry is not YYYY-MM-DDTHH:MM:SSZ");
  }
  const names = delegatedNames(value.signed);
  // The library keeps roles by name: equal ones become one, and those that look like numbers come first.
  const kept = Object.keys(Object.fromEntries(names.map((name) => [name, true])));
  if (kept.some((name, place) => name !== names[place]) || kept.length !== names.length) {
    throw wrong(role, "it delegates twice to one name, or its roles would be searched in another order");
  }
  return value;
}

/** Names of the roles that a document delegates to, in order. */
function delegatedNames({ delegations }: Json): string[] {
  const roles = isObject(delegations) ? delegations.roles : undefined;
  return Array.isArray(roles) ? roles.map((each: unknown) => isObject(each) ? String(each.name) : "") : [];
}

const KINDS = {
  root: MetadataKind.Root,
  timestamp: MetadataKind.Timestamp,
  snapshot: MetadataKind.Snapshot,
  targets: MetadataKind.Targets,
} as const;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(role: string, state: string): CodedError {
  return new CodedError("RELEASE_METADATA", `Cannot use ${role} metadata: ${state}`, { role });
}
