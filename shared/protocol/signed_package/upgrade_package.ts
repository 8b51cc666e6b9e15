/** The package file of a release as an upgrade needs it: read, and its signatures checked. Pure. */

import { CodedError, codeOf } from "../../base/errors.ts";
import type { UpgradePackage } from "../gp/upgrade_commands.ts";
import { parsePackageFile } from "./package_file.ts";
import { verifySignedPackage } from "./verify.ts";

/**
 * Reads a package file and checks the release key's signatures.
 * @param file bytes of the `.rkpkg`. @param releaseKey P-256 public key (65).
 * @param code of what is refused: a row of the caller's table.
 * @throws {CodedError} `code`; `details.code` is what exactly was wrong.
 */
export function readUpgradePackage(file: Uint8Array, releaseKey: Uint8Array, code: string): UpgradePackage {
  try {
    const { cap, signed } = parsePackageFile(file);
    const { dapBlock } = verifySignedPackage(signed, cap, releaseKey);
    return {
      packageAid: cap.packageAid,
      loadFileDataBlock: cap.loadFileDataBlock,
      hash: cap.sha256,
      dapBlock,
    };
  } catch (error) {
    const why = error instanceof CodedError ? error.message : "it is malformed";
    throw new CodedError(code, `Cannot use package: ${why}`, { code: codeOf(error) }, error);
  }
}
