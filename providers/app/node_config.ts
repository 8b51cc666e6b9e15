/** Configuration of a provider's node. */

import { z } from "zod";
import { Address, readConfigFile } from "./config_file.ts";

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
      (address) => /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+):/.test(address),
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
    database: z.strictObject({
      url: z.string().regex(/^postgres(ql)?:\/\//, "not a postgres:// URL"),
      tls: z.strictObject({
        authority: Path,
        certificate: Path,
        key: Path,
        serverName: z.string().optional(),
      })
        .optional(),
      passwordFile: Path.optional(),
      connections: z.int().min(1).max(100).default(8),
      migrate: z.boolean().default(true),
    }),
    /** Folder with the pipes to the vault. */
    pipes: Path,
    /** File with the service's status document: read at each request; without it the service is locked. */
    statusFile: Path,
    /** File with the identity verifier's signed key set: read at each request, so that keys rotate. */
    keySetFile: Path,
    limits: z.strictObject({
      inFlight: z.int().min(1).default(64),
      deadlineMs: z.int().min(100).default(15_000),
      drainMs: z.int().min(0).default(10_000),
      /** How often rows are written anew in the order of their identifiers, in minutes; 0: never. */
      rewriteMinutes: z.int().min(0).default(360),
    }).prefault({}),
  });
};

/** A checked configuration; paths are absolute. */
export type NodeConfig = z.infer<ReturnType<typeof schema>>;

/** Reads it. @throws {CodedError} `PROVIDER_CONFIG`, `PROVIDER_FILE`. */
export function readNodeConfig(file: string): Promise<NodeConfig> {
  return readConfigFile(file, schema);
}
