/** The attestation service's configuration: one YAML file, checked as a whole; errors name file and line. */

import { isAbsolute, join, resolve } from "node:path";
import { isCollection, isNode, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { hexBytes, hexRange, StationName } from "shared/protocol/wire/attestation.ts";
import { resolveEventLog, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import { FACTORY_HOST_PREFIX } from "../domain/issuance/host_certificate.ts";
import "./attestation_errors.ts";

const BASE64URL_32 = /^[A-Za-z0-9_-]{43}$/;
const Path = z.string().min(1);
/** `host:port`; port 0 takes a free one, which the ready line tells. */
const Address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "not host:port");

const Authority = z.strictObject({
  authority: Path,
  revocationList: Path.optional(),
  /** What to do when the revocation list is missing or past its nextUpdate. */
  whenStale: z.enum(["refuse", "accept"]).default("refuse"),
});

const SigningKey = z.strictObject({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string().regex(BASE64URL_32, "not 32 bytes of base64url"),
});
const SealingKey = z.strictObject({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string().regex(BASE64URL_32, "not 32 bytes of base64url"),
  y: z.string().regex(BASE64URL_32, "not 32 bytes of base64url"),
});
const Sender = z.discriminatedUnion("role", [
  z.strictObject({
    name: StationName,
    role: z.literal("station"),
    signingKey: SigningKey,
    /** While a key is exchanged: what it signs holds too, until this is taken out. */
    previousSigningKey: SigningKey.optional(),
    sealingKey: SealingKey,
  }),
  z.strictObject({
    name: StationName,
    role: z.literal("batch-manager"),
    signingKey: SigningKey,
    previousSigningKey: SigningKey.optional(),
  }),
]);

const HsmConfig = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("software"), file: Path, passphraseFile: Path }),
  z.strictObject({
    kind: z.literal("pkcs11"),
    library: Path,
    tokenLabel: z.string().min(1),
    pinFile: Path,
    sessions: z.int().min(1).max(64).optional(),
    queueLimit: z.int().min(1).optional(),
    deadlineMs: z.int().min(10).optional(),
  }),
]);

/** The file's shape. */
export const AttestationConfigFile = z.strictObject({
  /** Name of this instance, for logs. */
  name: StationName.default("attestation"),
  listen: Address,
  /** Health and metrics, without TLS: loopback only. */
  admin: Address,
  tls: z.strictObject({
    certificate: Path,
    key: Path,
    /** Who may connect: certificates of gateways. */
    gateways: Authority,
    /** Who issues the certificates of stations and batch managers, as a gateway passes them on. */
    senders: Authority,
  }),
  database: z.strictObject({
    url: z.string().regex(/^postgres(ql)?:\/\//, "not a postgres:// URL"),
    tls: z.strictObject({ authority: Path, certificate: Path, key: Path, serverName: z.string().optional() })
      .optional(),
    /** Mode 0600; an address never holds a password. */
    passwordFile: Path.optional(),
    connections: z.int().min(1).max(100).default(8),
    /** Whether this instance brings the schema up to date at start. */
    migrate: z.boolean().default(true),
  }),
  hsm: HsmConfig,
  labels: z.strictObject({
    issuer: z.string().min(1).default("issuer"),
    transportMaster: z.string().min(1).default("transport-master"),
    /** Signs the records of cards and batches. */
    record: z.string().min(1).default("record"),
  }).prefault({}),
  /** The tamper-evident log of this service: the same section in every instance. Without it a warning at each start. */
  eventLog: ServiceEventLogConfig.optional(),
  senders: z.array(Sender).min(1),
  /** Card serials of this factory, both included; another factory has other ones. */
  serials: z.strictObject({ first: hexBytes(4), last: hexBytes(4) }),
  hostCertificates: z.strictObject({
    enabled: z.boolean().default(false),
    serialPrefix: hexRange(1, 7).default(FACTORY_HOST_PREFIX),
  }).prefault({}),
  limits: z.strictObject({
    /** Requests in work at once; more are told to come again. */
    inFlight: z.int().min(1).default(128),
    deadlineMs: z.int().min(100).default(10_000),
    drainMs: z.int().min(0).default(10_000),
  }).prefault({}),
});

/** A checked configuration; paths are absolute. */
export type AttestationConfig = z.infer<typeof AttestationConfigFile>;

/**
 * Reads and checks a configuration.
 * @param file Its name, for errors and as the base of relative paths.
 * @throws {CodedError} `ATTEST_CONFIG`, naming file, line and field; all faults at once.
 */
export function parseAttestationConfig(file: string, text: string): AttestationConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const faults: string[] = [];
  for (const error of document.errors) {
    faults.push(`${file}:${error.linePos?.[0].line ?? 1}: ${error.message.split("\n")[0]}`);
  }
  if (faults.length === 0) {
    const result = AttestationConfigFile.safeParse(document.toJS());
    if (result.success) {
      faults.push(...contradictions(result.data).map((fault) => faultAt(fault.path, fault.message)));
      if (faults.length === 0) return withAbsolutePaths(file, result.data);
    } else {
      for (const issue of result.error.issues) {
        const unknown = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
        faults.push(faultAt([...issue.path, ...unknown], issue.message));
      }
    }
  }
  throw new CodedError("ATTEST_CONFIG", `Cannot use configuration:\n${faults.join("\n")}`);

  function faultAt(path: readonly PropertyKey[], message: string): string {
    return `${file}:${lineOf(path)}: ${
      path.length > 0 ? path.map(String).join(".") : "the file"
    }: ${message}`;
  }

  /** Line of the deepest part of `path` that is in the file. */
  function lineOf(path: readonly PropertyKey[]): number {
    for (let depth = path.length; depth > 0; depth--) {
      const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
      const key = path[depth - 1];
      if (!isCollection(parent)) continue;
      const item = parent.items.find((entry, i) =>
        "key" in (entry as object) ? String((entry as { key: unknown }).key) === String(key) : i === key
      ) as { key?: unknown } | undefined;
      const node = item?.key ?? item;
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return 1;
  }
}

interface Contradiction {
  readonly path: PropertyKey[];
  readonly message: string;
}

/** What the schema alone cannot say. */
function contradictions(config: AttestationConfig): Contradiction[] {
  const found: Contradiction[] = [];
  const names = new Set<string>();
  const keys = new Set<string>();
  config.senders.forEach((sender, i) => {
    if (names.has(sender.name)) found.push({ path: ["senders", i, "name"], message: "this name is taken" });
    names.add(sender.name);
    for (const field of ["signingKey", "previousSigningKey"] as const) {
      const x = sender[field]?.x;
      if (x === undefined) continue;
      if (keys.has(x)) found.push({ path: ["senders", i, field], message: "another sender has this key" });
      keys.add(x);
    }
  });
  if (config.serials.first > config.serials.last) {
    found.push({ path: ["serials", "last"], message: "it is below `first`" });
  }
  if (!isLoopback(config.admin)) {
    found.push({ path: ["admin"], message: "it has no TLS: give a loopback address" });
  }
  return found;
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":"));
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function withAbsolutePaths(file: string, config: AttestationConfig): AttestationConfig {
  const folder = resolve(file, "..");
  const at = <T extends string | undefined>(path: T): T =>
    (path === undefined || isAbsolute(path) ? path : join(folder, path)) as T;
  const authority = (entry: AttestationConfig["tls"]["gateways"]) => ({
    ...entry,
    authority: at(entry.authority),
    revocationList: at(entry.revocationList),
  });
  const { tls, database, hsm, eventLog } = config;
  return {
    ...config,
    ...(eventLog === undefined ? {} : { eventLog: resolveEventLog(eventLog, at) }),
    tls: {
      certificate: at(tls.certificate),
      key: at(tls.key),
      gateways: authority(tls.gateways),
      senders: authority(tls.senders),
    },
    database: {
      ...database,
      passwordFile: at(database.passwordFile),
      tls: database.tls && {
        ...database.tls,
        authority: at(database.tls.authority),
        certificate: at(database.tls.certificate),
        key: at(database.tls.key),
      },
    },
    hsm: hsm.kind === "software"
      ? { ...hsm, file: at(hsm.file), passphraseFile: at(hsm.passphraseFile) }
      : { ...hsm, library: at(hsm.library), pinFile: at(hsm.pinFile) },
  };
}

/** Host and port of an address of the configuration. */
export function splitAddress(address: string): { hostname: string; port: number } {
  const colon = address.lastIndexOf(":");
  return {
    hostname: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
  };
}
