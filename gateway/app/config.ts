/** The one configuration file of a gateway, as a strict schema: an unknown key, a wrong type or a dangling name is refused. */

import { z } from "zod";
import { isClientPattern } from "../domain/client_names.ts";
import { FileEventLogConfig } from "shared/log/writer/config.ts";
import { isIdentityPattern } from "../domain/identity.ts";
import { isNetwork } from "../domain/networks.ts";
import { isPathPattern } from "../domain/routes.ts";
import { Api, RouteFirewall } from "./api_config.ts";
import {
  BackupIdentifier,
  Bans,
  ClientAddress,
  ConcurrencyLimit,
  HandshakeLimits,
  limitFaults,
  LimitStoreConfig,
  Overload,
  RateLimit,
} from "./protection_config.ts";
import {
  AffinityConfig,
  BreakerConfig,
  MaxAnswerBytes,
  MaxWaiting,
  RepeatWithKey,
  RetryConfig,
} from "./routing_config.ts";

/** Name of a route, a limit, a role and the like: lower-case letters, digits and -. */
export const Name = z.string().regex(
  /^[a-z0-9][a-z0-9-]{0,62}$/,
  "expected lower-case letters, digits and -",
);
/** Path of a file, relative to the configuration. */
export const File = z.string().min(1, "expected the path of a file");
/** A time from 1 ms to an hour. */
export const Milliseconds = z.int().min(1).max(3_600_000);
/** 0 to 65535; 0 takes a free one. */
export const Port = z.int().min(0).max(65_535);
const Network = z.string().refine(
  isNetwork,
  "expected a network such as 10.0.0.0/8 or 2001:db8::/32, without bits behind the prefix",
);
/** An IPv4 or IPv6 address. */
export const Host = z.string().regex(
  /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]+)$/,
  "expected an IPv4 or IPv6 address",
);
const LOOPBACK = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1)$/;

/** A certificate and its key. */
export const KeyFiles = z.strictObject({
  /** PEM, leaf first. */
  certificate: File,
  /** PKCS #8 PEM. */
  key: File,
});

/** A URI with at most one `*` for a whole segment. */
export const IdentityPattern = z.string().refine(
  isIdentityPattern,
  "expected a URI, with at most one * for one whole segment, such as urn:recovery-key:station:*",
);

const ClientPattern = z.string().refine(
  isClientPattern,
  "expected a URI, dns:NAME or subject:CN=NAME,O=NAME, with at most one * for one whole segment or label " +
    "(in a subject: for whole values, not all of them)",
);

const ListUrl = z.string().refine((text) => {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.hash === "";
}, "expected http://host/path or https://host/path");

/** An authority of clients: its certificates, where its lists come from, and its freshness rule. */
export const Authority = z.strictObject({
  /** How routes and roles call it; old and new authorities of a rotation may share a name. */
  name: Name.optional(),
  /** PEM of one or more X.509 v3 authorities: during a rotation the old one and the new one. */
  certificate: File,
  /** PEM of the authority's complete revocation list. */
  revocationList: File.optional(),
  /** What to do when the list is missing or past its nextUpdate. */
  whenStale: z.enum(["refuse", "accept"]).default("refuse"),
  /** More files of lists, PEM or DER: of the other authorities of the bundle. */
  revocationFiles: z.array(File).max(16).default([]),
  /** Addresses of lists. The only ones that are asked: what a certificate names is never fetched. */
  revocationUrls: z.array(ListUrl).max(16).default([]),
  /** A list is stale this long after its thisUpdate, whatever its nextUpdate says. */
  maxAgeSeconds: z.int().min(1).max(31_536_000).optional(),
  /** How often files and addresses are looked at again. */
  refreshSeconds: z.int().min(1).max(86_400).default(300),
  fetchTimeoutMs: Milliseconds.default(10_000),
  maxListBytes: z.int().min(1_024).max(256 * 1024 * 1024).default(32 * 1024 * 1024),
}).refine((authority) => listSources(authority).length > 0 || authority.whenStale === "accept", {
  path: ["revocationList"],
  message: "expected the authority's revocation list (or whenStale: accept, which lets revoked clients in)",
});

/** Every place from which an authority's lists come: files first. */
export function listSources(
  authority: {
    revocationList?: string | undefined;
    revocationFiles: readonly string[];
    revocationUrls: readonly string[];
  },
): { name: string; isUrl: boolean }[] {
  const own = authority.revocationList === undefined ? [] : [authority.revocationList];
  return [
    ...[...own, ...authority.revocationFiles].map((name) => ({ name, isUrl: false })),
    ...authority.revocationUrls.map((name) => ({ name, isUrl: true })),
  ];
}

const InstanceUrl = z.string().refine((text) => {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "" &&
    url.username === "" && url.hash === "";
}, "expected https://host:port or http://host:port");

const Upstream = z.strictObject({
  instances: z.array(z.strictObject({
    url: InstanceUrl,
    /** Where readiness is asked, when that is another port than the service's own. */
    health: InstanceUrl.optional(),
  })).min(1).max(16),
  /** Mutual TLS; required for https instances. */
  tls: z.strictObject({
    authorities: z.array(File).min(1),
    certificate: File,
    key: File,
    /** The URI names that the server's certificate may have. */
    serverIdentities: z.array(IdentityPattern).min(1),
  }).optional(),
  breaker: BreakerConfig,
  retries: RetryConfig,
  maxWaitingPerInstance: MaxWaiting,
  maxConnectionsPerInstance: z.int().min(1).max(10_000).default(64),
  /** Requests in flight to all instances together, learnt. */
  overload: Overload.prefault({}),
  connectTimeoutMs: Milliseconds.default(2_000),
  /** Idle connections are closed after this: keep it below the service's own keep-alive timeout. */
  idleTimeoutMs: Milliseconds.default(4_000),
  health: z.strictObject({
    path: z.string().regex(/^\/\S*$/, "expected a path").default("/readyz"),
    intervalMs: Milliseconds.default(1_000),
    timeoutMs: Milliseconds.default(2_000),
    /** Failures in a row until an instance gets no more requests. */
    unhealthyAfter: z.int().min(1).max(100).default(2),
    /** Time after which an instance that is down may be tried by a request. */
    coolDownMs: Milliseconds.default(5_000),
  }).prefault({}),
}).superRefine((upstream, context) => {
  const secure = upstream.instances.some(({ url, health }) => `${url}${health ?? ""}`.includes("https:"));
  if (secure && upstream.tls === undefined) {
    context.addIssue({
      code: "custom",
      path: ["tls"],
      message: "expected tls, because an instance is https",
    });
  }
});

const Method = z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

const Route = z.strictObject({
  name: Name,
  path: z.string().refine(
    isPathPattern,
    "expected a path such as /v1/batches/{batch}, or /v1/** for any rest",
  ),
  methods: z.array(Method).min(1),
  contentTypes: z.array(z.string().regex(/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/, "expected a media type")).default(
    [],
  ),
  /** Names of `clients.authorities` whose certificates may use the route; any when absent. */
  authorities: z.array(Name).min(1).optional(),
  identities: z.array(ClientPattern).default([]),
  /** Names of `roles`. */
  roles: z.array(Name).default([]),
  /** Networks from which the route may be used; any when absent. */
  networks: z.array(Network).min(1).optional(),
  /** Name of one of `rateLimits`, or several: each has to allow a request. */
  rateLimit: z.union([Name, z.array(Name).min(1).max(8)]).optional(),
  /** Names of `concurrencyLimits`. */
  concurrency: z.array(Name).max(8).default([]),
  /** Where a request names its backup, for limits `by: [backup]`. */
  backup: BackupIdentifier.optional(),
  /** Shed last: restore, then backup, then factory. */
  priority: z.enum(["restore", "backup", "factory"]).default("backup"),
  maxBodyBytes: z.int().min(0).max(16 * 1024 * 1024).default(65_536),
  /** What requests are compared with; absent: with nothing. */
  firewall: RouteFirewall.optional(),
  /** Name of one of `upstreams`. */
  upstream: Name,
  deadlineMs: Milliseconds.default(10_000),
  repeatWithKey: RepeatWithKey,
  affinity: AffinityConfig,
  maxAnswerBytes: MaxAnswerBytes,
});

const Role = z.strictObject({
  identities: z.array(ClientPattern).min(1),
  /** Names of `clients.authorities` that may vouch for the role; any when absent. */
  authorities: z.array(Name).min(1).optional(),
});

/** Bounds of every connection; times in milliseconds. */
export const Limits = z.strictObject({
  maxConnections: z.int().min(1).max(1_000_000).default(10_000),
  maxConnectionsPerAddress: z.int().min(1).max(1_000_000).default(1_000),
  maxHeaders: z.int().min(1).max(1_000).default(64),
  maxHeaderBytes: z.int().min(512).max(1_048_576).default(16_384),
  maxTargetLength: z.int().min(16).max(65_536).default(2_048),
  handshakeTimeoutMs: Milliseconds.default(5_000),
  headersTimeoutMs: Milliseconds.default(5_000),
  /** Headers and body together. */
  requestTimeoutMs: Milliseconds.default(15_000),
  keepAliveTimeoutMs: Milliseconds.default(15_000),
  /** For the client to take the whole answer, from its first byte on. */
  answerTimeoutMs: Milliseconds.default(20_000),
  maxRequestsPerConnection: z.int().min(0).max(1_000_000_000).default(0),
});

/** When bytes that leave are too many (domain/outbound.ts). */
const OutboundWatch = z.strictObject({
  windowSeconds: z.int().min(1).max(3_600).default(10),
  /** So many times what is usual for a route or an instance is too much. */
  factor: z.number().min(1).max(1_000).default(8),
  /** Fewer bytes in a window are never too many. */
  floorBytes: z.int().min(0).default(1_048_576),
  /** More bytes in a window always are. */
  ceilingBytes: z.int().min(1).default(1_073_741_824),
  /** Windows after which what is usual counts as known. */
  learnWindows: z.int().min(1).max(100_000).default(60),
});

/** Spans for a collector inside the trust zone. */
const Tracing = z.strictObject({
  /** OTLP over HTTP, such as http://10.0.0.9:4318. */
  endpoint: InstanceUrl,
  /** Share of requests that get a span. */
  share: z.number().min(0).max(1).default(0.1),
});

/** The configuration of one gateway. */
export const GatewayConfig = z.strictObject({
  listen: z.strictObject({
    address: Host,
    /** 0 takes a free port, which the ready line names. */
    port: Port,
    certificate: File,
    key: File,
    minVersion: z.enum(["TLSv1.2", "TLSv1.3"]).default("TLSv1.2"),
  }),
  /** Health and metrics, plain HTTP: loopback only. */
  admin: z.strictObject({
    address: Host.refine(
      (address) => LOOPBACK.test(address),
      "expected a loopback address: this listener has no TLS",
    ),
    port: Port,
  }),
  clients: z.strictObject({ authorities: z.array(Authority).min(1) }),
  canaries: z.strictObject({
    /** PEM: the authority of `listen.certificate`, by which a canary knows the gateway. */
    serverAuthority: File,
    /** Name in `listen.certificate`, when that does not have the address. */
    serverName: z.string().min(1).optional(),
    valid: KeyFiles,
    expired: KeyFiles,
    revoked: KeyFiles,
  }),
  /** Networks whose connections are closed at accept. */
  denyNetworks: z.array(Network).default([]),
  /** More of them, in files: one a line, `#` begins a comment. */
  denyNetworkFiles: z.array(File).max(16).default([]),
  /** Absent: the client is who connects. */
  clientAddress: ClientAddress.optional(),
  limits: Limits.prefault({}),
  handshakes: HandshakeLimits.prefault({}),
  /** Absent: nobody is banned. */
  bans: Bans.optional(),
  /** Absent: each instance counts alone, in memory. */
  limitStore: LimitStoreConfig.optional(),
  /** Secret of this provider, at least 32 bytes, under which backup identifiers are counted. */
  backupKeyFile: File.optional(),
  /** Named sets of identities. */
  roles: z.record(Name, Role).default({}),
  rateLimits: z.record(Name, RateLimit).default({}),
  concurrencyLimits: z.record(Name, ConcurrencyLimit).default({}),
  upstreams: z.record(Name, Upstream),
  /** Descriptions of services. */
  apis: z.record(Name, Api).default({}),
  routes: z.array(Route).min(1),
  drain: z.strictObject({
    /** Longest wait for what is in flight. */
    timeoutMs: Milliseconds.default(20_000),
    /** Connections without a request are closed after this; those in use end with their next answer. */
    idleMs: Milliseconds.default(1_000),
  }).prefault({}),
  outbound: OutboundWatch.prefault({}),
  /** No spans without it. */
  tracing: Tracing.optional(),
  /** The tamper-evident log of this gateway. Without it a warning at each start. */
  eventLog: FileEventLogConfig.optional(),
  log: z.strictObject({ level: z.enum(["debug", "info", "warning", "error"]).default("info") }).prefault({}),
}).superRefine((config, context) => {
  const names = new Set<string>();
  for (const [i, route] of config.routes.entries()) {
    const dangling = (key: "upstream", known: object) => {
      const name = route[key];
      if (name === undefined || Object.hasOwn(known, name)) return;
      const message = `expected a name of ${key}s: ${Object.keys(known).join(", ") || "there is none"}`;
      context.addIssue({ code: "custom", path: ["routes", i, key], message });
    };
    dangling("upstream", config.upstreams);
    if (route.firewall !== undefined && !Object.hasOwn(config.apis, route.firewall.api)) {
      const message = `expected a name of apis: ${Object.keys(config.apis).join(", ") || "there is none"}`;
      context.addIssue({ code: "custom", path: ["routes", i, "firewall", "api"], message });
    }
    for (const fault of [...limitFaults(config, route), ...accessFaults(config, route)]) {
      context.addIssue({ code: "custom", path: ["routes", i, ...fault.path], message: fault.message });
    }
    if (names.has(route.name)) {
      context.addIssue({
        code: "custom",
        path: ["routes", i, "name"],
        message: "expected a name of its own",
      });
    }
    names.add(route.name);
  }
  for (const [name, role] of Object.entries(config.roles)) {
    for (const fault of authorityFaults(config, role.authorities)) {
      context.addIssue({ code: "custom", path: ["roles", name, ...fault.path], message: fault.message });
    }
  }
});

interface AccessFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

function authorityFaults(
  config: { clients: { authorities: readonly { name?: string | undefined }[] } },
  names: readonly string[] = [],
): AccessFault[] {
  const known = new Set(config.clients.authorities.flatMap(({ name }) => name ?? []));
  const expected = `expected a name of clients.authorities: ${[...known].join(", ") || "none has a name"}`;
  return names.flatMap((name, i) => known.has(name) ? [] : [{ path: ["authorities", i], message: expected }]);
}

function accessFaults(
  config: Parameters<typeof authorityFaults>[0] & { roles: object },
  route: {
    identities: readonly string[];
    roles: readonly string[];
    authorities?: readonly string[] | undefined;
  },
): AccessFault[] {
  const known = Object.keys(config.roles).join(", ") || "there is none";
  return [
    ...(route.identities.length + route.roles.length > 0
      ? []
      : [{ path: ["identities"], message: "expected identities or roles: nobody could use the route" }]),
    ...route.roles.flatMap((role, i) =>
      Object.hasOwn(config.roles, role)
        ? []
        : [{ path: ["roles", i], message: `expected a name of roles: ${known}` }]
    ),
    ...authorityFaults(config, route.authorities),
  ];
}

/** The configuration of one gateway, with defaults filled in. */
export type GatewayConfig = z.infer<typeof GatewayConfig>;
