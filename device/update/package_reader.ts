/** The package as this wallet verified it: what every LOAD block is compared with. */

import { readUpgradePackage } from "shared/protocol/signed_package/upgrade_package.ts";
import type { PackageReader } from "./ports.ts";
import "./errors.ts";

/** Makes a reader. @param releaseKey P-256 public key (65) of the release key. */
export function packageReader(releaseKey: Uint8Array): PackageReader {
  return (file) => readUpgradePackage(file, releaseKey, "WALLET_UPDATE_PACKAGE");
}
