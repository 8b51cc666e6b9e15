/** What a signer says about a CAP file. */

import { toHex } from "../../base/bytes.ts";
import { describeCap } from "../cap/description.ts";
import type { CapFile } from "../cap/reader.ts";
import { checkAid } from "../gp/aid.ts";
import type { PackageStatement } from "./document.ts";

/**
 * The statement of a package.
 * @param securityDomainAid domain that verifies the DAP on the card.
 * @param signedAt milliseconds since 1970.
 * @throws {CodedError} `GP_AID`.
 */
export function packageStatement(
  cap: CapFile,
  securityDomainAid: Uint8Array,
  signedAt: number,
): PackageStatement {
  const { capSha256, loadFileDataBlockHash, packageAid, packageName, version } = describeCap(cap);
  return {
    format: "recovery-key-signed-package",
    formatVersion: 1,
    capSha256,
    loadFileDataBlockHash,
    packageAid,
    ...(packageName === null ? {} : { packageName }),
    version,
    securityDomainAid: toHex(checkAid(securityDomainAid)),
    signedAt: new Date(signedAt).toISOString(),
  };
}
