/** A station's configuration file (YAML or JSON): who it is, how it reaches the attestation service, where it keeps its state. */

import { z } from "zod";
import { besideConfig, parseConfig } from "shared/base/configuration.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { fromUtf8 } from "shared/base/bytes.ts";
import { JUDGED_CARDS_MAX, type JudgementLimits } from "../domain/judgement/judgement.ts";
import { DEFAULT_LINE_LIMITS } from "../domain/judgement/line.ts";
import { FileEventLogConfig, resolveEventLog } from "shared/log/writer/config.ts";
import { StationName } from "shared/protocol/wire/attestation.ts";
import { readSecretFile } from "shared/transport/secret_file.ts";

/** When work stops by itself; null switches a rule off. */
const Limits = (standard: JudgementLimits) =>
  z.strictObject({
    scrappedInRow: z.int().min(1).max(JUDGED_CARDS_MAX).nullable().default(standard.scrappedInRow),
    yieldPercent: z.number().min(0).max(100).nullable().default(standard.yieldPercent),
    yieldAfterCards: z.int().min(1).max(JUDGED_CARDS_MAX).default(standard.yieldAfterCards),
    yieldWindowCards: z.int().min(1).max(JUDGED_CARDS_MAX).default(standard.yieldWindowCards),
  }).default({ ...standard });

/** The file's shape. Paths count from the folder of the file. */
const StationConfigFile = z.strictObject({
  name: StationName,
  gateways: z.array(z.string().regex(/^https:\/\//, "give an https address")).min(1).max(8),
  tls: z.strictObject({ ca: z.string().min(1), cert: z.string().min(1), key: z.string().min(1) }),
  signingKeyFile: z.string().min(1),
  sealingKeyFile: z.string().min(1),
  stateFolder: z.string().min(1),
  operator: z.string().min(1).max(64),
  /** How long a card waits on its reader for a service that is gone or busy. */
  waitForServiceSeconds: z.int().min(0).max(3600).default(30),
  /** The tamper-evident log of this station, best in its state folder. Without it a warning at each start. */
  eventLog: FileEventLogConfig.optional(),
  limits: z.strictObject({
    reader: Limits(DEFAULT_LINE_LIMITS.reader),
    station: Limits(DEFAULT_LINE_LIMITS.station),
  }).default({ ...DEFAULT_LINE_LIMITS }),
});

/** A configuration, paths resolved. */
export type StationConfig = z.infer<typeof StationConfigFile>;

/** A private key of the station as JWK; `OKP` signs, `EC` opens what is sealed. */
const PrivateJwk = z.discriminatedUnion("kty", [
  z.looseObject({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() }),
  z.looseObject({
    kty: z.literal("EC"),
    crv: z.literal("P-256"),
    x: z.string(),
    y: z.string(),
    d: z.string(),
  }),
]);

/** Reads a file of the configuration, or says which one is missing. */
async function read(path: string, what: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError(
      "STATION_CONFIG",
      `Cannot read ${what} ${path}: ${
        error instanceof Deno.errors.NotFound ? "there is no such file" : (error as Error).name
      }`,
      { path },
    );
  }
}

/**
 * Reads a configuration.
 * @throws {CodedError} `STATION_CONFIG` naming the field or file.
 */
export async function readStationConfig(path: string): Promise<StationConfig> {
  const text = await read(path, "the station's configuration");
  const file = parseConfig(path, text, StationConfigFile, { code: "STATION_CONFIG" });
  const at = (relative: string) => besideConfig(path, relative);
  const { tls, signingKeyFile, sealingKeyFile, stateFolder, eventLog, ...rest } = file;
  return {
    ...rest,
    tls: { ca: at(tls.ca), cert: at(tls.cert), key: at(tls.key) },
    signingKeyFile: at(signingKeyFile),
    sealingKeyFile: at(sealingKeyFile),
    stateFolder: at(stateFolder),
    ...(eventLog === undefined ? {} : { eventLog: resolveEventLog(eventLog, at) }),
  };
}

/** Reads a private JWK from a file that only its owner may read. @throws {CodedError} `STATION_CONFIG`, `SECRET_FILE_OPEN`. */
export function readPrivateJwk(path: string, kty: "OKP" | "EC"): JsonWebKey {
  using secret = readSecretFile(path);
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(secret.reveal()));
  } catch {
    throw new CodedError("STATION_CONFIG", `Cannot use key file ${path}: it is not JSON`, { path });
  }
  const parsed = PrivateJwk.safeParse(value);
  if (!parsed.success || parsed.data.kty !== kty) {
    const wanted = kty === "OKP" ? "an Ed25519" : "a P-256";
    throw new CodedError("STATION_CONFIG", `Cannot use key file ${path}: it is not ${wanted} private JWK`, {
      path,
    });
  }
  return parsed.data as JsonWebKey;
}

/** Texts of the TLS files. @throws {CodedError} `STATION_CONFIG`. */
export async function readTls(tls: StationConfig["tls"]): Promise<{ ca: string; cert: string; key: string }> {
  const [ca, cert, key] = await Promise.all([
    read(tls.ca, "the gateways' authority"),
    read(tls.cert, "the station's certificate"),
    read(tls.key, "the station's TLS key"),
  ]);
  return { ca, cert, key };
}

defineErrors({
  STATION_CONFIG: {
    fault: "configuration",
    retry: false,
    next: "Correct what the message names; factory/app/station_example.yaml shows every field.",
  },
});
