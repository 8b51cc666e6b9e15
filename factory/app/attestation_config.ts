/** The attestation service's configuration: one YAML file, checked as a whole; errors name file and line. */

import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { hsmSection } from "shared/transport/hsm_section.ts";
import { databaseSection } from "shared/transport/postgres/config.ts";
import { Address, type Contradiction, isLoopback, parseConfig } from "shared/base/configuration.ts";
import { hexBytes, hexRange, StationName } from "shared/protocol/wire/attestation.ts";
import { resolveEventLog, ServiceEventLogConfig } from "shared/log/writer/config.ts";
import { FACTORY_HOST_PREFIX } from "../domain/issuance/host_certificate.ts";
import "./attestation_errors.ts";

const BASE64URL_32 = /^[A-Za-z0-9_-]{43}$/;
const Path = z.string().min(1);

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
  database: databaseSection(Path),
  hsm: hsmSection(Path),
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
  return withAbsolutePaths(
    file,
    parseConfig(file, text, AttestationConfigFile, { code: "ATTEST_CONFIG", contradictions }),
  );
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
