/** Configuration of a witness process: one YAML file, checked as a whole. */

import { dirname, resolve } from "node:path";
import { z } from "zod";
import { Address, type Contradiction, isLoopback, parseConfig } from "../../base/configuration.ts";
import { defineErrors } from "../../base/errors.ts";
import { isKeyName } from "../note.ts";

const Path = z.string().min(1).max(4096);
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

/** What the schema alone cannot say. */
function contradictions({ tls, listen, admin, logs }: WitnessConfig): Contradiction[] {
  const found: Contradiction[] = [];
  if (tls === undefined && !isLoopback(listen)) {
    found.push({ path: ["listen"], message: "without tls only a loopback address" });
  }
  if (!isLoopback(admin)) found.push({ path: ["admin"], message: "only a loopback address" });
  if (new Set(logs.map(({ origin }) => origin)).size < logs.length) {
    found.push({ path: ["logs"], message: "an origin twice" });
  }
  return found;
}

/**
 * Checks a configuration.
 * @param file absolute path, for errors and as the base of relative paths.
 * @throws {CodedError} `WITNESS_CONFIG` naming all fields at once.
 */
export function parseWitnessConfig(file: string, text: string): WitnessConfig {
  const data = parseConfig(file, text, WitnessConfigFile, { code: "WITNESS_CONFIG", contradictions });
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

defineErrors({
  WITNESS_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "docs/operations/witness.md shows a configuration; `rk log witness --check` checks one.",
  },
});
