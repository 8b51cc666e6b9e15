/** Configuration of the reference verifier. */

import { z } from "zod";
import { Address, isLoopback } from "shared/base/configuration.ts";
import { RESULT_LIFE_SECONDS } from "../domain/identity_verification.ts";
import { readConfigFile } from "./config_file.ts";
import { PublicJwk } from "./vault_config.ts";

const schema = (Path: z.ZodType<string>) =>
  z.strictObject({
    /** What stands in its results and its key set as `iss`. */
    issuer: z.url(),
    listen: Address,
    /** Without it the page is served in the clear: on loopback only. */
    tls: z.strictObject({ certificate: Path, key: Path }).optional(),
    /** Folder of its keys, which it also writes: the ring turns. */
    keys: Path,
    /** The one provider that trusts it, and that provider's vault. */
    provider: z.strictObject({ name: z.string().min(1).max(95), vaultKey: PublicJwk }).optional(),
    /** How long a result holds, in seconds. */
    resultSeconds: z.int().min(30).max(RESULT_LIFE_SECONDS).default(300),
    rotation: z.strictObject({
      /** How long a key signs, in minutes. */
      rotateMinutes: z.int().min(2).default(7 * 24 * 60),
      /** How long a key is published before it signs: longer than a node keeps a set, in minutes. */
      announceMinutes: z.int().min(1).default(60),
      /** How long a signed set holds, in minutes. */
      setMinutes: z.int().min(2).max(7 * 24 * 60).default(60),
    }).prefault({}),
  })
    .refine(({ listen, tls }) => tls !== undefined || isLoopback(listen), {
      path: ["listen"],
      message: "not loopback, and no tls",
    })
    .refine(({ rotation }) => rotation.announceMinutes < rotation.rotateMinutes, {
      path: ["rotation", "announceMinutes"],
      message: "not shorter than rotateMinutes",
    });

/** A checked configuration; paths are absolute. */
export type VerifierConfig = z.infer<ReturnType<typeof schema>>;

/** Reads it. @throws {CodedError} `PROVIDER_CONFIG`, `SERVICE_FILE`. */
export function readVerifierConfig(file: string): Promise<VerifierConfig> {
  return readConfigFile(file, schema);
}
