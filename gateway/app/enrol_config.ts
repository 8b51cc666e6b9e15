/** The one configuration file of the enrolment process, as strict as the gateway's. */

import { z } from "zod";
import { FileEventLogConfig } from "shared/log/writer/config.ts";
import {
  Authority,
  File,
  Host,
  IdentityPattern,
  KeyFiles,
  Limits,
  Milliseconds,
  Name,
  Port,
} from "./config.ts";

const Hours = z.number().min(0.001).max(24 * 366);

const Grant = z.strictObject({
  /** Names of `clients.authorities` that may vouch for the bootstrap certificate. */
  authorities: z.array(Name).min(1),
  /** URI name of the bootstrap certificate. */
  bootstrap: IdentityPattern,
  /** What its holder may have; a star is what stands at the star of `bootstrap`. */
  identity: IdentityPattern,
  lifetimeHours: Hours.default(168),
});

const Token = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("software"), file: File, passphraseFile: File }),
  z.strictObject({ kind: z.literal("pkcs11"), library: File, tokenLabel: z.string().min(1), pinFile: File }),
]);

/** The configuration of one enrolment process. */
export const EnrolConfig = z.strictObject({
  listen: z.strictObject({
    address: Host,
    port: Port,
    certificate: File,
    key: File,
    minVersion: z.enum(["TLSv1.2", "TLSv1.3"]).default("TLSv1.2"),
  }),
  /** Plain HTTP: the issuing authority, its revocation list, health. Signed or public, all of it. */
  publication: z.strictObject({ address: Host, port: Port }),
  /** Authorities of bootstrap certificates; never those of the gateway's routes. */
  clients: z.strictObject({ authorities: z.array(Authority).min(1) }),
  canaries: z.strictObject({
    serverAuthority: File,
    serverName: z.string().min(1).optional(),
    valid: KeyFiles,
    expired: KeyFiles,
    revoked: KeyFiles,
  }),
  /** The process's own tamper-evident log; without one it warns at every start. */
  eventLog: FileEventLogConfig.optional(),
  issuer: z.strictObject({
    /** PEM of the issuing authority; `enrol-init` makes it. */
    certificate: File,
    /** Label of its P-256 key in the token. */
    label: z.string().min(1).default("enrolment-issuer"),
    /** Common name that `enrol-init` gives it. */
    name: z.string().min(1).max(64).default("Recovery Key enrolment"),
  }),
  hsm: Token,
  /** A database of its own. */
  database: z.strictObject({
    url: z.string().regex(/^postgres(ql)?:\/\//, "expected postgres://role@host:port/name"),
    tls: z.strictObject({ authority: File, certificate: File, key: File, serverName: z.string().optional() })
      .optional(),
    passwordFile: File.optional(),
  }),
  lists: z.strictObject({
    validHours: Hours.default(24),
    /** How often revocations are looked for, and a list is made when there is one. */
    refreshSeconds: z.int().min(1).max(3_600).default(10),
  }).prefault({}),
  grants: z.record(Name, Grant).default({}),
  /** Wallets, which show their device certificate. */
  wallets: Grant.extend({
    /** Public key (65 bytes, hex) of the issuer of device certificates. */
    deviceIssuer: z.string().regex(/^04[0-9a-fA-F]{128}$/, "expected 65 bytes in hex, 04 first"),
    challengeSeconds: z.int().min(5).max(3_600).default(120),
  }).optional(),
  /** Of a renewed certificate. */
  renewalHours: Hours.default(168),
  /** Requests of one client certificate's identity. */
  rateLimit: z.strictObject({
    quota: z.int().min(1).max(1_000_000).default(60),
    windowSeconds: z.int().min(1).max(86_400).default(3_600),
  }).prefault({}),
  limits: Limits.prefault({ maxConnections: 500, maxConnectionsPerAddress: 50 }),
  drain: z.strictObject({ timeoutMs: Milliseconds.default(10_000) }).prefault({}),
  log: z.strictObject({ level: z.enum(["debug", "info", "warning", "error"]).default("info") }).prefault({}),
}).superRefine((config, context) => {
  const known = new Set(config.clients.authorities.flatMap(({ name }) => name ?? []));
  const grants = [
    ...Object.entries(config.grants).map(([name, grant]) => [["grants", name], grant, false] as const),
    ...(config.wallets === undefined ? [] : [[["wallets"], config.wallets, true] as const]),
  ];
  for (const [path, grant, isWallet] of grants) {
    for (const [i, name] of grant.authorities.entries()) {
      if (known.has(name)) continue;
      const message = `expected a name of clients.authorities: ${[...known].join(", ") || "none has a name"}`;
      context.addIssue({ code: "custom", path: [...path, "authorities", i], message });
    }
    const star = (text: string) => text.includes("*");
    if (star(grant.identity) === (isWallet || star(grant.bootstrap))) continue;
    const message = isWallet
      ? "expected one *, which becomes the device's serial number"
      : "expected a * exactly when bootstrap has one";
    context.addIssue({ code: "custom", path: [...path, "identity"], message });
  }
});

/** The configuration, with defaults filled in. */
export type EnrolConfig = z.infer<typeof EnrolConfig>;
