/** Whether a package may be wrapped for a card: the key holders' metadata, the bytes, the release key, and the offer. Pure. */

import { sha256 } from "@noble/hashes/sha2.js";
import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { UpgradePackage } from "shared/protocol/gp/upgrade_commands.ts";
import { type ReleaseBundle, type VerifiedRelease, verifyRelease } from "shared/protocol/release/metadata.ts";
import { type CardFacts, offer, withCounter } from "shared/protocol/release/target.ts";
import { readUpgradePackage } from "shared/protocol/signed_package/upgrade_package.ts";
import type { WireRelease } from "shared/protocol/wire/update.ts";
import "shared/protocol/wire/update_errors.ts";

/** A bundle from the wire. */
export function bundleOf(release: WireRelease): ReleaseBundle {
  const bytes = (text: string) => Uint8Array.fromBase64(text);
  return {
    roots: release.roots.map(bytes),
    timestamp: bytes(release.timestamp),
    snapshot: bytes(release.snapshot),
    targets: bytes(release.targets),
    delegated: Object.fromEntries(
      Object.entries(release.delegated).map(([name, text]) => [name, bytes(text)]),
    ),
    path: release.path,
  };
}

/**
 * Reads a package file whose hash is known from elsewhere, and checks the release key's signatures.
 * @param file bytes of the `.rkpkg`. @param hash SHA-256 that the file must have, upper-case hex.
 * @param releaseKey P-256 public key (65).
 * @throws {CodedError} `UPDATE_PACKAGE`.
 */
export function readPackage(file: Uint8Array, hash: string, releaseKey: Uint8Array): UpgradePackage {
  if (!equal(sha256(file), fromHex(hash))) throw refused("its bytes are not the signed ones");
  return readUpgradePackage(file, releaseKey, "UPDATE_PACKAGE");
}

/** A package that the key holders have signed for a card. */
export interface ReleasedPackage {
  readonly file: UpgradePackage;
  readonly verified: VerifiedRelease;
}

/**
 * Checks metadata and package together.
 * @param trustedRoot a root that is trusted already. @param now milliseconds since 1970.
 * @throws {CodedError} those of `verifyRelease`, `UPDATE_PACKAGE`.
 */
export function checkRelease(
  release: WireRelease,
  file: Uint8Array,
  trust: { readonly trustedRoot: Uint8Array; readonly releaseKey: Uint8Array },
  now: number,
): ReleasedPackage {
  const verified = verifyRelease(bundleOf(release), trust.trustedRoot, now);
  if (verified.length !== file.length) throw refused("its length is another");
  const read = readPackage(file, verified.sha256, trust.releaseKey);
  const { loadFileHash, packageAid } = verified.release;
  if (toHex(read.hash) !== loadFileHash || toHex(read.packageAid) !== packageAid) {
    throw refused("its release describes another load file");
  }
  return { file: read, verified };
}

/** Refuses a release that is not offered to a card. @throws {CodedError} `RELEASE_HALTED`, `UPDATE_NOT_OFFERED` with the reason. */
export function requireOffered(card: CardFacts, { release, releases, halted }: VerifiedRelease): void {
  const offered = offer(withCounter(card, releases), release, halted !== undefined);
  if (offered.offered) return;
  if (offered.reason === "halted") {
    throw new CodedError("RELEASE_HALTED", `Cannot update card: the rollout was halted: ${halted?.reason}`);
  }
  throw new CodedError(
    "UPDATE_NOT_OFFERED",
    `Cannot update card: release ${release.version} is not offered to it (${offered.reason})`,
    { reason: offered.reason },
  );
}

function refused(why: string): CodedError {
  return new CodedError("UPDATE_PACKAGE", `Cannot use package: ${why}`);
}
