/** Configuration of a witness process: one YAML file, checked as a whole. */

import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { isKeyName } from "../note.ts";

const Path = z.string().min(1).max(4096);
/** `host:port`; port 0 takes a free one, which the ready line tells. */
const Address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "not host:port");
const Label = z.string().min(1).max(64);

const Key = z.discriminatedUnion("kind", [
  /** A file (mode 0600) with the seed; for a token that has no Ed25519. */
  z.strictObject({ kind: z.literal("file"), file: Path }),
  z.strictObject({ kind: z.literal("software"), file: Path, passphraseFile: Path, label: Label }),
  z.strictObject({
    kind: z.literal("pkcs11"),
    library: Path,
    tokenLabel: z.string().min(1).max(32),
    pinFile: Path,
    label: Label,
  }),
]);

const MirrorConfig = z.union([
  z.strictObject({
    /** Where the log publishes its tiles, without a slash at the end. */
    url: z.string().regex(/^https:\/\/[^?#]*[^/?#]$/, "not an https:// address without a slash at its end"),
    /** Authority of that server, when it is not one of the system's. */
    authority: Path.optional(),
  }),
  z.strictObject({ folder: Path }),
]);

/** The file's shape. */
export const WitnessConfigFile = z.strictObject({
  /** Name of the witness's key: an address without scheme that is yours, such as `witness.example.com/w1`. */
  name: z.string().max(255).refine(isKeyName, "a space, a plus or a control character"),
  /** Where logs submit checkpoints. Without `tls` a loopback address, behind the gateway. */
  listen: Address,
  /** Health, metrics and verifier key, without TLS: a loopback address. */
  admin: Address,
  tls: z.strictObject({
    certificate: Path,
    key: Path,
    /** Who may connect; without it everybody: the protocol authenticates checkpoints, not senders. */
    clients: z.strictObject({
      authority: Path,
      revocationList: Path.optional(),
      whenStale: z.enum(["refuse", "accept"]).default("refuse"),
    }).optional(),
  }).optional(),
  /** Folder of state, evidence and mirrored files; one for each witness. */
  state: Path,
  /** Better on another disk: tells when the state was put back from an old copy. */
  highWaterFile: Path.optional(),
  key: Key,
  logs: z.array(z.strictObject({
    origin: z.string().min(1).max(1024).regex(/^[^\n]+$/),
    /** Verifier keys of the log (type 1). */
    keys: z.array(z.string()).min(1).max(4),
    mirror: MirrorConfig.optional(),
  })).min(1).max(1000),
  /** Requests of one address. */
  rate: z.strictObject({
    perSecond: z.number().positive().max(10_000).default(50),
    burst: z.int().min(1).max(100_000).default(200),
  }).prefault({}),
  /** How far the clock may be behind the last cosignature before nothing is cosigned any more. */
  clockToleranceSeconds: z.int().min(0).max(86_400).default(60),
  /** Most bytes of the state; default: what the disk has. */
  stateBytesMax: z.int().min(65_536).optional(),
});

/** A checked configuration; paths are absolute. */
export type WitnessConfig = z.infer<typeof WitnessConfigFile>;
/** The witness's key in it. */
export type WitnessKeyConfig = WitnessConfig["key"];

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):/;

/**
 * Checks a configuration.
 * @param file absolute path, for errors and as the base of relative paths.
 * @throws {CodedError} `WITNESS_CONFIG` naming all fields at once.
 */
export function parseWitnessConfig(file: string, text: string): WitnessConfig {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw faulty(file, [(error as Error).message.split("\n")[0]!]);
  }
  const parsed = WitnessConfigFile.safeParse(value);
  if (!parsed.success) {
    throw faulty(file, parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
  }
  const { data } = parsed;
  const faults: string[] = [];
  if (data.tls === undefined && !LOOPBACK.test(data.listen)) {
    faults.push("listen: without tls only a loopback address");
  }
  if (!LOOPBACK.test(data.admin)) faults.push("admin: only a loopback address");
  if (new Set(data.logs.map(({ origin }) => origin)).size < data.logs.length) {
    faults.push("logs: an origin twice");
  }
  if (faults.length > 0) throw faulty(file, faults);
  return withAbsolutePaths(data, (path) => resolve(dirname(file), path));
}

function withAbsolutePaths(config: WitnessConfig, at: (path: string) => string): WitnessConfig {
  const { tls, key, state } = config;
  const stateFolder = at(state);
  return {
    ...config,
    state: stateFolder,
    highWaterFile: config.highWaterFile === undefined
      ? `${stateFolder}/high-water`
      : at(config.highWaterFile),
    ...(tls === undefined ? {} : {
      tls: {
        certificate: at(tls.certificate),
        key: at(tls.key),
        ...(tls.clients === undefined ? {} : {
          clients: {
            ...tls.clients,
            authority: at(tls.clients.authority),
            ...(tls.clients.revocationList === undefined
              ? {}
              : { revocationList: at(tls.clients.revocationList) }),
          },
        }),
      },
    }),
    key: key.kind === "file"
      ? { ...key, file: at(key.file) }
      : key.kind === "software"
      ? { ...key, file: at(key.file), passphraseFile: at(key.passphraseFile) }
      : { ...key, library: at(key.library), pinFile: at(key.pinFile) },
    logs: config.logs.map((log) => ({
      ...log,
      ...(log.mirror === undefined ? {} : {
        mirror: "folder" in log.mirror ? { folder: at(log.mirror.folder) } : {
          ...log.mirror,
          ...(log.mirror.authority === undefined ? {} : { authority: at(log.mirror.authority) }),
        },
      }),
    })),
  };
}

/** Takes `host:port` apart. */
export function splitHostPort(address: string): { readonly hostname: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  return {
    hostname: address.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(address.slice(colon + 1)),
  };
}

function faulty(file: string, faults: readonly string[]): CodedError {
  return new CodedError(
    "WITNESS_CONFIG",
    `Cannot use ${file}:\n${faults.map((fault) => `    ${fault}`).join("\n")}`,
    {
      faults,
    },
  );
}

defineErrors({
  WITNESS_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "docs/operations/witness.md shows a configuration; `rk log witness --check` checks one.",
  },
});
