/** The orchestrator's configuration: one YAML file, checked as a whole. Relative paths begin at its folder. */

import { z } from "zod";
import { Address, besideConfig, isLoopback, parseConfig, pathFrom } from "shared/base/configuration.ts";
import { defineErrors } from "shared/base/errors.ts";
import { resolveEventLog, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import { hsmSection } from "shared/transport/hsm_section.ts";
import { databaseSection } from "shared/transport/postgres/config.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";

function fileSchema(file: string) {
  const Path = pathFrom(file);
  const Authority = z.strictObject({
    authority: Path,
    revocationList: Path.optional(),
    /** What to do when the revocation list is missing or past its nextUpdate. */
    whenStale: z.enum(["refuse", "accept"]).default("refuse"),
  });
  const Keys = { certificate: Path, key: Path };
  return z.strictObject({
    /** Name of this instance, for logs. */
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/).default("orchestrator"),
    listen: Address,
    /** Health and metrics, without TLS: loopback only. */
    admin: Address.refine(isLoopback, "not loopback"),
    tls: z.strictObject({ ...Keys, gateways: Authority, clients: Authority }),
    database: databaseSection(Path),
    hsm: hsmSection(Path),
    labels: z.strictObject({
      /** secp256k1: the static key that `certificate` is of. */
      static: z.string().min(1).default("orchestrator"),
      /** Master key under which sessions are sealed. */
      state: z.string().min(1).default("orchestrator-state"),
    }).prefault({}),
    /** The root's signature (DER) over role `05` and the static key. `rk orchestrator init` tells what is to be signed. */
    certificateSignature: hexRange(8, 72).optional(),
    /** Public keys that sign devices' certificates. */
    deviceIssuers: z.array(hexBytes(65)).min(1).max(8),
    targetId: hexBytes(4).default("33000004"),
    /** Public key that signs providers' certificates. */
    providerRoot: hexBytes(65),
    /** In order of their shares' indexes: 1, 2, 3. */
    providers: z.array(z.strictObject({
      name: z.string().min(1).max(95),
      publicKey: hexBytes(65),
      /** Addresses of its gateways or nodes, equal to one another; a path is put before `/v1`. */
      servers: z.array(z.url()).min(1).max(8),
      tls: z.strictObject({ authority: Path, ...Keys }),
    })).length(3),
    /** Its tamper-evident log, which its instances share; the key is an Ed25519 key in the token. */
    eventLog: ServiceEventLogConfig.optional(),
    limits: z.strictObject({
      /** How often sessions that were left are looked for, in milliseconds. */
      sweepMs: z.int().min(100).default(5_000),
      /** A session that no companion has answered for this long is given up: an identity verification takes time. */
      sessionMs: z.int().min(100).default(30 * 60_000),
      /** A session that is to be carried through is taken up by the sweep when nobody has worked on it for this long. */
      carryThroughMs: z.int().min(100).default(10_000),
      drainMs: z.int().min(0).default(10_000),
    }).prefault({}),
  }).refine(({ providers }) => new Set(providers.map(({ publicKey }) => publicKey)).size === 3, {
    path: ["providers"],
    message: "two providers have the same key",
  });
}

/** A checked configuration; paths are absolute. */
export type OrchestratorConfig = z.infer<ReturnType<typeof fileSchema>>;

/**
 * Reads and checks a configuration. @param file its name, for errors and as the base of relative paths.
 * @throws {CodedError} `ORCHESTRATOR_CONFIG` with all faults.
 */
export function parseOrchestratorConfig(file: string, text: string): OrchestratorConfig {
  const { eventLog, ...config } = parseConfig(file, text, fileSchema(file), { code: "ORCHESTRATOR_CONFIG" });
  return eventLog === undefined
    ? config
    : { ...config, eventLog: resolveEventLog(eventLog, (path) => besideConfig(file, path)) };
}

defineErrors({
  ORCHESTRATOR_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Correct the fields that are named; orchestrator/app/config.ts tells what each is.",
  },
});
