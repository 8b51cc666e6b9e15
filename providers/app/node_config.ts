/** Configuration of a provider's node. */

import { z } from "zod";
import { resolve } from "node:path";
import { Address, isLoopback } from "shared/base/configuration.ts";
import { DatabaseEventLogConfig, resolveEventLog } from "shared/log/writer/config.ts";
import { databaseSection } from "shared/transport/postgres/config.ts";
import { readConfigFile } from "./config_file.ts";

const schema = (Path: z.ZodType<string>) => {
  const Authority = z.strictObject({
    authority: Path,
    revocationList: Path.optional(),
    /** What to do when the revocation list is missing or past its nextUpdate. */
    whenStale: z.enum(["refuse", "accept"]).default("refuse"),
  });
  return z.strictObject({
    /** Name of this instance, for logs. */
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    /** mTLS, for gateways. */
    listen: Address,
    /** What stands before `/v1` in every path, where one gateway is in front of several providers; such as /provider-1. */
    path: z.string().regex(/^(\/[a-z0-9-]+)?$/, "not a path of one segment").default(""),
    /** Health and metrics, without TLS: loopback only. */
    admin: Address.refine(
      isLoopback,
      "not loopback",
    ),
    tls: z.strictObject({
      certificate: Path,
      key: Path,
      /** Who may connect: certificates of gateways. */
      gateways: Authority,
      /** Who issues the orchestrators' certificates, as a gateway passes them on. */
      orchestrators: Authority,
    }),
    database: databaseSection(Path),
    /** The provider's tamper-evident log, which its nodes share. Without it, changes are anchored and nothing is entered. */
    eventLog: DatabaseEventLogConfig.optional(),
    /** Folder with the pipes to the vault. */
    pipes: Path,
    /** File with the service's status document: read at each request; without it the service is locked. */
    statusFile: Path,
    /** File with the identity verifier's signed key set: read at each request, so that keys rotate. */
    keySetFile: Path.optional(),
    /** Or where the verifier serves it. */
    keySet: z.strictObject({
      url: z.url().refine(isSecure, "neither https nor loopback"),
      /** Of the verifier's server; without it the system's authorities. */
      authority: Path.optional(),
      /** How long a set is used before it is asked for again, in seconds: shorter than keys are announced. */
      refreshSeconds: z.int().min(1).max(86_400).default(300),
    }).optional(),
    limits: z.strictObject({
      inFlight: z.int().min(1).default(64),
      deadlineMs: z.int().min(100).default(15_000),
      drainMs: z.int().min(0).default(10_000),
      /** How often rows are written anew in the order of their identifiers, in minutes; 0: never. */
      rewriteMinutes: z.int().min(0).default(360),
    }).prefault({}),
  }).refine(({ keySet, keySetFile }) => (keySet === undefined) !== (keySetFile === undefined), {
    path: ["keySet"],
    message: "give keySet or keySetFile",
  });
};

function isSecure(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" ||
    protocol === "http:" && /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(hostname);
}

/** A checked configuration; paths are absolute. */
export type NodeConfig = z.infer<ReturnType<typeof schema>>;

/** Reads it. @throws {CodedError} `PROVIDER_CONFIG`, `SERVICE_FILE`. */
export async function readNodeConfig(file: string): Promise<NodeConfig> {
  const config = await readConfigFile(file, schema);
  if (config.eventLog === undefined) return config;
  return { ...config, eventLog: resolveEventLog(config.eventLog, (path) => resolve(file, "..", path)) };
}
