/** The parts of the configuration that say how much is too much: rates, concurrency, handshakes, bans, overload; and who a client is. */

import { z } from "zod";
import { isNetwork } from "../domain/networks.ts";
import { KEY_PARTS, STORE_GONE } from "../domain/rate_rule.ts";

const Network = z.string().refine(isNetwork, "expected a network such as 10.0.0.0/8 or 2001:db8::/32");
const Milliseconds = z.int().min(1).max(3_600_000);
const File = z.string().min(1, "expected the path of a file");
const By = z.array(z.enum(KEY_PARTS)).min(1).max(KEY_PARTS.length).default(["identity"]);

/** So many in a window, evenly, with so many at once. */
const Rate = {
  quota: z.int().min(1).max(1_000_000),
  windowSeconds: z.int().min(1).max(86_400),
  /** At once; the quota when absent. */
  burst: z.int().min(1).max(1_000_000).optional(),
};

/** A rate rule. */
export const RateLimit = z.strictObject({
  ...Rate,
  /** What counts together: the parts of the key. */
  by: By,
  /** What the rule says when its store is gone or full. */
  whenStoreGone: z.enum(STORE_GONE).default("refuse"),
  dryRun: z.boolean().default(false),
});

/** Parts of the configuration that are taken at start only. */
export const PROTECTION_FIXED = [
  "clientAddress",
  "handshakes",
  "bans",
  "limitStore",
  "backupKeyFile",
] as const;

/** A concurrency rule: requests of one key at the same time, in this instance. */
export const ConcurrencyLimit = z.strictObject({
  max: z.int().min(1).max(1_000_000),
  by: By,
  dryRun: z.boolean().default(false),
});

/** The store that instances share; memory of this instance when absent. */
export const LimitStoreConfig = z.strictObject({
  /** redis://host:port, or rediss://host:port over TLS. */
  url: z.string().refine((text) => {
    const url = URL.parse(text);
    return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== "" && url.port !== "" &&
      /^\/?$/.test(url.pathname) && `${url.username}${url.password}${url.search}${url.hash}` === "";
  }, "expected redis://host:port or rediss://host:port, without user and password"),
  username: z.string().min(1).optional(),
  /** One line. */
  passwordFile: File.optional(),
  /** For rediss: PEM. */
  authorities: z.array(File).min(1).max(16).optional(),
  certificate: File.optional(),
  key: File.optional(),
  timeoutMs: Milliseconds.default(100),
  prefix: z.string().max(64).default("rk:limit:"),
}).refine((store) => store.url.startsWith("rediss:") === (store.authorities !== undefined), {
  path: ["authorities"],
  message: "expected the authorities of the store's certificate with rediss://, and none with redis://",
});

const RateOnly = z.strictObject(Rate);

/** Handshakes, decided at accept: before any signature is computed. Absent: no limit. */
export const HandshakeLimits = z.strictObject({
  /** New connections of one address (IPv6: of a /64). */
  perAddress: RateOnly.optional(),
  /** Failed handshakes of one address: when they are used up its connections are closed until some are earned back. */
  failedPerAddress: RateOnly.optional(),
  /** New connections in all. */
  total: RateOnly.optional(),
});

/** Temporary bans of addresses (IPv6: of a /64). */
export const Bans = z.strictObject({
  /** Points at which an address is banned. */
  threshold: z.number().min(1).max(1_000_000).default(100),
  /** Points halve in this time. */
  halfLifeSeconds: z.int().min(1).max(86_400).default(60),
  /** The first ban; each further one twice as long. */
  banSeconds: z.int().min(1).max(86_400).default(60),
  maxBanSeconds: z.int().min(1).max(604_800).default(3_600),
  points: z.strictObject({
    /** A handshake that failed, a certificate that was refused. */
    handshake: z.number().min(0).max(1_000).default(5),
    /** A request that was refused for what it is: malformed, forbidden, too large. */
    block: z.number().min(0).max(1_000).default(5),
    /** A request or connection beyond a limit. */
    flood: z.number().min(0).max(1_000).default(1),
  }).prefault({}),
  /** Networks that are never banned, besides trusted proxies. */
  never: z.array(Network).max(10_000).default([]),
  dryRun: z.boolean().default(false),
});

/** Where the client's address comes from. */
export const ClientAddress = z.strictObject({
  /** `proxy-protocol`: version 2, in front of TLS. */
  from: z.enum(["proxy-protocol", "x-forwarded-for", "forwarded"]),
  /** Whose word counts. With `proxy-protocol` nobody else may connect. */
  trustedProxies: z.array(Network).min(1).max(10_000),
});

/** Where a Recover request names its backup. */
export const BackupIdentifier = z.union([
  z.strictObject({ header: z.string().regex(/^[a-z0-9-]{1,64}$/, "expected a header name in lower case") }),
  z.strictObject({
    pointer: z.string().max(256).regex(
      /^(?:\/(?:[^~/]|~[01])*)+$/,
      "expected a JSON pointer such as /backupId",
    ),
  }),
]);

/** Adaptive concurrency of one pool of instances. */
export const Overload = z.strictObject({
  initial: z.int().min(1).max(100_000).default(200),
  min: z.int().min(1).max(100_000).default(20),
  max: z.int().min(1).max(100_000).default(2_000),
  /** Answers may take this many times as long as they usually do before fewer are let in. */
  tolerance: z.number().min(1.1).max(100).default(2),
}).refine(({ initial, min, max }) => min <= initial && initial <= max, {
  path: ["initial"],
  message: "expected min <= initial <= max",
});

/** Names of rate rules of a route. */
export function rateNames(
  route: { readonly rateLimit?: string | readonly string[] | undefined },
): readonly string[] {
  return route.rateLimit === undefined
    ? []
    : typeof route.rateLimit === "string"
    ? [route.rateLimit]
    : route.rateLimit;
}

/** What is wrong with the limits of a route. */
export function limitFaults(
  config: {
    readonly rateLimits: Readonly<Record<string, z.infer<typeof RateLimit>>>;
    readonly concurrencyLimits: Readonly<Record<string, z.infer<typeof ConcurrencyLimit>>>;
    readonly backupKeyFile?: string | undefined;
  },
  route: {
    readonly rateLimit?: string | readonly string[] | undefined;
    readonly concurrency: readonly string[];
    readonly backup?: object | undefined;
  },
): { readonly path: readonly (string | number)[]; readonly message: string }[] {
  const among = (known: object) => Object.keys(known).join(", ") || "there is none";
  const rates = rateNames(route);
  const byBackup = rates.some((name) =>
    Object.hasOwn(config.rateLimits, name) && config.rateLimits[name]!.by.includes("backup")
  );
  return [
    ...(rates.every((name) => Object.hasOwn(config.rateLimits, name))
      ? []
      : [{ path: ["rateLimit"], message: `expected a name of rateLimits: ${among(config.rateLimits)}` }]),
    ...(new Set(rates).size === rates.length
      ? []
      : [{ path: ["rateLimit"], message: "expected every name once" }]),
    ...route.concurrency.flatMap((name, i) => {
      const path = ["concurrency", i];
      const rule = Object.hasOwn(config.concurrencyLimits, name) ? config.concurrencyLimits[name] : undefined;
      if (rule === undefined) {
        return [{
          path,
          message: `expected a name of concurrencyLimits: ${among(config.concurrencyLimits)}`,
        }];
      }
      return rule.by.includes("backup")
        ? [{
          path,
          message: "expected a limit by identity, address or route: a backup is only counted by rate",
        }]
        : [];
    }),
    ...(byBackup && route.backup === undefined
      ? [{
        path: ["backup"],
        message: "expected where requests name their backup, because a limit is by backup",
      }]
      : []),
    ...(byBackup && config.backupKeyFile === undefined
      ? [{ path: ["backup"], message: "expected backupKeyFile, under which backups are counted" }]
      : []),
  ];
}
