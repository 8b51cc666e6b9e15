/** May this package be loaded with this profile? Decided before a card is touched. */

import { equal, fromHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CapFile } from "shared/protocol/cap/reader.ts";
import { type CapDescription, describeCap } from "shared/protocol/cap/description.ts";
import type { DapBlock } from "shared/protocol/gp/load.ts";
import type { SignedPackage } from "shared/protocol/signed_package/document.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import type { Profile } from "../profile.ts";

/** A package that may be loaded, and what its load carries. */
export interface LoadPlan {
  readonly cap: CapFile;
  readonly description: CapDescription;
  /** Who signed it; null: nobody, which only test cards take. */
  readonly signer:
    | { readonly keyLabel: string; readonly publicKey: Uint8Array; readonly signedAt: string }
    | null;
  /** In front of the load file. */
  readonly dapBlocks: readonly DapBlock[];
}

/**
 * Decides. An unsigned package passes only where the profile says `applet.unsigned`, which is refused in every profile
 * whose cards are not test cards (see `CONTRADICTIONS`).
 * @param signed the file that `applet.signedPath` names.
 * @throws {CodedError} `PACKAGE_UNSIGNED`, `PACKAGE_OTHER` (properly signed, but not the profile's), `PACKAGE_DOMAIN`, and
 *   those of `verifySignedPackage`.
 */
export function planLoad(profile: Profile, cap: CapFile, signed: SignedPackage | undefined): LoadPlan {
  const { applet } = profile;
  const releaseKey = applet.releaseKey ?? null;
  if (signed === undefined || releaseKey === null) {
    if (applet.unsigned !== true) {
      throw new CodedError("PACKAGE_UNSIGNED", "Cannot load package: nobody has signed it");
    }
    requireNamed(profile, cap);
    return { cap, description: describeCap(cap), signer: null, dapBlocks: [] };
  }
  const verified = verifySignedPackage(signed, cap, fromHex(releaseKey));
  requireNamed(profile, cap);
  const domain = applet.dapDomain ?? null;
  if (domain !== null && domain !== signed.securityDomainAid) {
    throw new CodedError(
      "PACKAGE_DOMAIN",
      `Cannot load package: it is signed for domain ${signed.securityDomainAid}, the card verifies in ${domain}`,
    );
  }
  const { description, keyLabel, signedAt } = verified;
  return {
    cap,
    description,
    signer: { keyLabel, publicKey: verified.releaseKey, signedAt },
    dapBlocks: domain === null ? [] : [verified.dapBlock],
  };
}

/** Last look before the first byte goes to a card. @throws {CodedError} `PACKAGE_UNSIGNED`, `PACKAGE_KEY`. */
export function requireLoadable(plan: LoadPlan, { applet }: Profile): void {
  if (plan.signer === null) {
    if (applet.unsigned === true) return;
    throw new CodedError("PACKAGE_UNSIGNED", "Cannot load package: nobody has signed it");
  }
  if (!equal(plan.signer.publicKey, fromHex(applet.releaseKey ?? ""))) {
    throw new CodedError("PACKAGE_KEY", "Cannot load package: another key than the profile's has signed it");
  }
}

/** The profile names one package: another one, though signed, would be another version or another product. */
function requireNamed(profile: Profile, cap: CapFile): void {
  const { packageAid, version, capSha256 } = describeCap(cap);
  const wanted = profile.aids.appletPackage;
  if (packageAid !== wanted) {
    throw new CodedError(
      "PACKAGE_OTHER",
      `Cannot load package: it is ${packageAid}, the profile's is ${wanted}`,
    );
  }
  if (capSha256 !== profile.applet.capSha256) {
    throw new CodedError(
      "PACKAGE_OTHER",
      `Cannot load package: it is version ${version} with SHA-256 ${capSha256}, not applet.capSha256`,
    );
  }
}
