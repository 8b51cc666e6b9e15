/** Configurations of the update service and of its vault: a YAML file each, checked as a whole. Relative paths begin at its folder. */

import { resolve } from "node:path";
import { z } from "zod";
import { Address, parseConfig, pathFrom } from "shared/base/configuration.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { FileEventLogConfig, resolveEventLog } from "shared/log/writer/config.ts";
import {
  DEFAULT_UPGRADE_DOMAIN_AID_HEX,
  UPGRADE_KEY_VERSION,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { hexBytes, hexRange, StationName } from "shared/protocol/wire/attestation.ts";
import { hsmSection } from "shared/transport/hsm_section.ts";
import { databaseSection } from "shared/transport/postgres/config.ts";
import { UPGRADE_MASTER_LABEL } from "../domain/factory_keys.ts";
import { VAULT_LIMITS } from "../service/update/vault.ts";

function serviceSchema(Path: z.ZodType<string>) {
  const Authority = z.strictObject({
    authority: Path,
    revocationList: Path.optional(),
    /** What to do when the revocation list is missing or past its nextUpdate. */
    whenStale: z.enum(["refuse", "accept"]).default("refuse"),
  });
  const Keys = { certificate: Path, key: Path };
  return z.strictObject({
    /** Name of this instance, for logs. */
    name: StationName.default("update"),
    listen: Address,
    /** Health and metrics, without TLS: loopback only. */
    admin: Address,
    tls: z.strictObject({
      ...Keys,
      /** Who may connect: certificates of gateways. */
      gateways: Authority,
      /** Who issues the certificates of wallets, as a gateway passes them on. */
      clients: Authority,
    }),
    /** Where authorizations are kept: a database for several machines, or a file. */
    store: z.discriminatedUnion("kind", [
      databaseSection(Path).extend({ kind: z.literal("postgres") }),
      z.strictObject({ kind: z.literal("sqlite"), file: Path }),
    ]),
    /** Folder of the named pipes to the vault. */
    pipes: Path,
    /** The issuer's signed list of revoked cards: at a gateway of the attestation service, or a file that somebody keeps fresh. */
    revocations: z.union([
      z.strictObject({ file: Path }),
      z.strictObject({
        addresses: z.array(z.url({ protocol: /^https$/ })).min(1).max(8),
        tls: z.strictObject({ authority: Path, ...Keys }),
      }),
    ]),
    /** The tamper-evident log of this instance. Without it a warning at each start. */
    eventLog: FileEventLogConfig.optional(),
    limits: z.strictObject({
      vaultMs: z.int().min(100).default(8_000),
      drainMs: z.int().min(0).default(10_000),
    }).prefault({}),
  });
}

function vaultSchema(Path: z.ZodType<string>) {
  return z.strictObject({
    hsm: hsmSection(Path),
    labels: z.strictObject({
      upgradeMaster: z.string().min(1).default(UPGRADE_MASTER_LABEL),
      /** Storage key under which authorizations are sealed. */
      authorization: z.string().min(1).default("upgrade-authorization"),
    }).prefault({}),
    pipes: Path,
    /** Public keys (65) that certify cards. */
    issuers: z.array(hexBytes(65)).min(1).max(8),
    /** P-256 public key (65) that signs packages. */
    releaseKey: hexBytes(65),
    /** A root of the release metadata: brought here by hand, never fetched. */
    root: Path,
    domain: z.strictObject({
      aid: hexRange(5, 16).default(DEFAULT_UPGRADE_DOMAIN_AID_HEX),
      keyVersion: z.int().min(1).max(127).default(UPGRADE_KEY_VERSION),
    }).prefault({}),
    /** Chip and operating system of these cards, as releases name them. */
    chip: z.strictObject({ chip: z.string().min(1), os: z.string().min(1) })
      .default({ chip: "P71D600", os: "JCOP 4.5" }),
    limits: z.strictObject({
      sessions: z.int().min(1).max(1024).default(VAULT_LIMITS.sessions),
      challenges: z.int().min(1).max(65_536).default(VAULT_LIMITS.challenges),
      ofOne: z.int().min(1).max(1024).default(VAULT_LIMITS.ofOne),
      challengeSeconds: z.int().min(10).max(3600).default(VAULT_LIMITS.challengeSeconds),
      idleSeconds: z.int().min(10).max(3600).default(VAULT_LIMITS.idleSeconds),
      sessionSeconds: z.int().min(60).max(86_400).default(VAULT_LIMITS.sessionSeconds),
    }).prefault({}),
  });
}

/** A checked configuration of the service; paths are absolute. */
export type UpdateConfig = z.infer<ReturnType<typeof serviceSchema>>;
/** A checked configuration of the vault; paths are absolute. */
export type UpdateVaultConfig = z.infer<ReturnType<typeof vaultSchema>>;

/** Reads the service's configuration. @throws {CodedError} `UPDATE_CONFIG` with every fault, its line and column. */
export function readUpdateConfig(file: string): UpdateConfig {
  const config = read(file, serviceSchema);
  if (config.eventLog === undefined) return config;
  return { ...config, eventLog: resolveEventLog(config.eventLog, (path) => resolve(file, "..", path)) };
}

/** Reads the vault's configuration. @throws {CodedError} `UPDATE_CONFIG` with every fault, its line and column. */
export function readUpdateVaultConfig(file: string): UpdateVaultConfig {
  return read(file, vaultSchema);
}

function read<S extends z.ZodType>(file: string, schema: (path: z.ZodType<string>) => S): z.infer<S> {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new CodedError(
      "UPDATE_CONFIG",
      `Cannot read configuration ${file}: it is missing or closed to us`,
      {},
      error,
    );
  }
  return parseConfig(file, text, schema(pathFrom(file)), { code: "UPDATE_CONFIG" });
}

/** Text of a file that a configuration names. @throws {CodedError} `UPDATE_CONFIG`. */
export async function readNamed(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("UPDATE_CONFIG", `Cannot read ${path}: it is missing or closed to us`, {}, error);
  }
}

defineErrors({
  UPDATE_CONFIG: {
    fault: "configuration",
    retry: false,
    next:
      "Correct what is named; factory/app/update_example.yaml and update_vault_example.yaml explain every field.",
  },
});
