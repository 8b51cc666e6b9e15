/** Configuration of a vault process. */

import { z } from "zod";
import { hexBytes } from "shared/protocol/wire/attestation.ts";
import { hsmSection } from "shared/transport/hsm_section.ts";
import { readConfigFile } from "./config_file.ts";

/** A public P-256 key as a JWK. */
export const PublicJwk = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
})
  .strict();

const schema = (Path: z.ZodType<string>) =>
  z.strictObject({
    /** The provider's name, as devices show it. */
    name: z.string().min(1).max(95),
    /** Of its shares. */
    index: z.int().min(1).max(3),
    /** Folder with the pipes to the node. */
    pipes: Path,
    hsm: hsmSection(Path),
    labels: z.strictObject({
      identity: z.string().default("recover-identity"),
      diversification: z.string().default("recover-diversification"),
      /** The version follows: `recover-storage-1`. */
      storage: z.string().default("recover-storage"),
    }).prefault({}),
    /** Version of the storage key that new blobs are sealed under; older ones stay readable. */
    storageVersion: z.int().min(1).max(0xffff).default(1),
    /** File with the static certificate in hex, as D5/00 carries it. */
    certificateFile: Path,
    /** File with the sealed key to which the verifier seals; `init` makes it. */
    verificationKeyFile: Path,
    /** Keys of the issuers of devices. */
    deviceIssuers: z.array(hexBytes(65)).min(1).max(8),
    verifier: z.strictObject({ issuer: z.string().min(1), url: z.url(), pinnedKey: PublicJwk }),
    verifies: z.strictObject({ backup: z.boolean().default(false), delete: z.boolean().default(false) })
      .prefault({}),
    /** Whose documents lock and unlock the service. */
    lockAuthority: PublicJwk,
    limits: z.strictObject({
      attempts: z.int().min(1).max(100).default(3),
      releases: z.int().min(1).max(100).default(2),
      sessionSeconds: z.int().min(60).max(86_400).default(3600),
      lockSeconds: z.int().min(60).max(604_800).default(3600),
    }).prefault({}),
  });

/** A checked configuration; paths are absolute. */
export type VaultConfig = z.infer<ReturnType<typeof schema>>;

/** Reads it. @throws {CodedError} `PROVIDER_CONFIG`, `SERVICE_FILE`. */
export function readVaultConfig(file: string): Promise<VaultConfig> {
  return readConfigFile(file, schema);
}
