/** What the release log has of a release: one entry, the same bytes for whoever makes it from the verified metadata. */

import { canonicalJson } from "../../base/canonical_json.ts";
import { toUtf8 } from "../../base/bytes.ts";

/** Facts of a published package. */
export interface PublishedPackage {
  readonly product: string;
  readonly version: string;
  /** Path of the target. */
  readonly path: string;
  /** Bytes of the package file. */
  readonly length: number;
  /** SHA-256 of the package file, upper-case hex. */
  readonly sha256: string;
}

/** Bytes of the entry: canonical JSON (RFC 8785). */
export function releaseEntry({ product, version, path, length, sha256 }: PublishedPackage): Uint8Array {
  return toUtf8(canonicalJson({ format: "rk-release-entry-1", product, version, path, length, sha256 }));
}

/** Path of a package's proof below the repository's address. @param sha256 of the package file, upper-case hex. */
export function proofPath(sha256: string): string {
  return `log/proofs/${sha256.toLowerCase()}`;
}
