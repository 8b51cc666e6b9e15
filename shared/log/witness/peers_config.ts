/** The `witnesses` part of a service's configuration: who cosigns its log. */

import { z } from "zod";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { CosignClient } from "./cosign_client.ts";
import { httpClient } from "./http_client.ts";
import { WitnessedPublication, type WitnessedPublicationOptions } from "./witnessed_publication.ts";

/** Shape of the part. Paths are as they stand: a service makes them absolute as it does with its others. */
export const WitnessPeersConfig = z.strictObject({
  peers: z.array(z.strictObject({
    /** Submission prefix without a slash at its end. */
    url: z.string().regex(/^https?:\/\/[^?#]*[^/?#]$/, "not an address without a slash at its end"),
    /** Verifier key of type 4, as `rk log witness --check` prints it. */
    vkey: z.string().max(1024),
  })).max(16),
  /** How many have to cosign before a checkpoint counts as witnessed. */
  quorum: z.int().min(0).max(16),
  /** For each request, in milliseconds. */
  deadlineMs: z.int().min(100).max(120_000).default(5_000),
  /** Pauses before a witness is asked again, in milliseconds. */
  firstPauseMs: z.int().min(1).default(1_000),
  longestPauseMs: z.int().min(1).default(60_000),
  /** Whether the log may begin when too few witnesses say how far they are. */
  leadUnwitnessed: z.boolean().default(true),
  /** Own certificate, and the authority of the witnesses' servers. */
  tls: z.strictObject({
    authority: z.string().min(1).optional(),
    certificate: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
  }).default({}),
});

/** A checked part. */
export type WitnessPeers = z.infer<typeof WitnessPeersConfig>;

/** The log's side that {@link connectWitnesses} adds witnesses to. */
export type WitnessedLogParts = Pick<
  WitnessedPublicationOptions,
  "origin" | "tiles" | "signers" | "logger" | "onAlarm"
>;

/**
 * Connects a log with the witnesses of its configuration.
 * @param seconds the time, in seconds since 1970.
 * @throws {CodedError} `WITNESS_POLICY`, `WITNESS_PEER_FILE`, `VKEY_*`, `COSIGNATURE_KEY`.
 */
export async function connectWitnesses(
  config: WitnessPeers,
  parts: WitnessedLogParts,
  seconds: () => number,
): Promise<WitnessedPublication> {
  const files = await Promise.all(
    Object.entries(config.tls).map(async ([name, path]) => [name, await readText(path!)] as const),
  );
  const http = httpClient(Object.fromEntries(files));
  const clients = config.peers.map((peer) => new CosignClient(peer, http, config.deadlineMs, seconds));
  return new WitnessedPublication({ ...config, ...parts, clients, close: () => http.close() });
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("WITNESS_PEER_FILE", `Cannot read ${path}: ${(error as Error).name}`);
  }
}

defineErrors({
  WITNESS_PEER_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give readable PEM files under `witnesses.tls`.",
  },
});
