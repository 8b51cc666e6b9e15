/** The package as this wallet verified it: what every LOAD block is compared with. */

import { CodedError, codeOf } from "shared/base/errors.ts";
import { parsePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import type { PackageReader } from "./ports.ts";
import "./errors.ts";

/** Makes a reader. @param releaseKey P-256 public key (65) of the release key. */
export function packageReader(releaseKey: Uint8Array): PackageReader {
  return (file) => {
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
      throw new CodedError(
        "WALLET_UPDATE_PACKAGE",
        `Cannot use package: ${error instanceof CodedError ? error.message : "it is malformed"}`,
        { code: codeOf(error) },
        error,
      );
    }
  };
}
