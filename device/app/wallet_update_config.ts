/** How a wallet reaches the update service and the repository of releases: one YAML file. Relative paths begin at its folder. */

import { resolve } from "node:path";
import { z } from "zod";
import { besideConfig, parseConfig } from "shared/base/configuration.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  DEFAULT_UPGRADE_DOMAIN_AID_HEX,
  UPGRADE_KEY_VERSION,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";
import "../update/errors.ts";

const Https = z.url({ protocol: /^https$/ });
const File = z.strictObject({
  /** Base addresses of gateways, equal to one another. */
  gateways: z.array(Https).min(1).max(8),
  /** Authority of the gateways' certificates; this wallet's certificate and its key. */
  tls: z.strictObject({
    authority: z.string().min(1),
    certificate: z.string().min(1),
    key: z.string().min(1),
  }),
  /** What stands before the repository's paths at the gateways. */
  repository: z.string().regex(/^(\/[a-z0-9-]+)*$/).default(""),
  /** The root of the release metadata that came with this wallet. */
  root: z.string().min(1),
  /** P-256 public key (65) that signs packages. */
  releaseKey: hexBytes(65),
  /** The domain on the cards that may upgrade. */
  domain: z.strictObject({
    aid: hexRange(5, 16).default(DEFAULT_UPGRADE_DOMAIN_AID_HEX),
    keyVersion: z.int().min(1).max(127).default(UPGRADE_KEY_VERSION),
  }).prefault({}),
});
/** A checked configuration; paths are absolute. */
export type WalletUpdateConfig = z.infer<typeof File>;

/** Reads a configuration. @throws {CodedError} `WALLET_UPDATE_CONFIG` with every fault, its line and column. */
export function readWalletUpdateConfig(path: string): WalletUpdateConfig {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new CodedError(
      "WALLET_UPDATE_CONFIG",
      `Cannot read ${path}: it is missing or closed to us`,
      { path },
      error,
    );
  }
  const { tls, root, ...more } = parseConfig(path, text, File, { code: "WALLET_UPDATE_CONFIG" });
  const at = (name: string) => besideConfig(resolve(path), name);
  return {
    ...more,
    root: at(root),
    tls: { authority: at(tls.authority), certificate: at(tls.certificate), key: at(tls.key) },
  };
}
