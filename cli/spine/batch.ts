/** A batch manager's work through a spine's gateways, or through those of a factory. */

import { parse } from "yaml";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { BatchLimits } from "shared/protocol/wire/attestation.ts";
import { BatchManagerClient } from "factory/service/batch_manager/client.ts";
import { AttestationClient } from "factory/service/station/attestation_client.ts";
import type { Profile } from "factory/domain/profile.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
// For its error table: what the service refuses is told with its own fault and advice.
import "factory/domain/issuance/refusals.ts";
import { withSpine } from "./running.ts";

interface ClientFile {
  readonly name: string;
  readonly gateways: string[];
  readonly tls: { ca: string; cert: string; key: string };
  readonly signingKeyFile: string;
}

/** What a batch may be created with besides its profile and quantity. */
export interface BatchOptions {
  readonly name?: string;
  /** It gives out nothing until it is opened. */
  readonly held?: boolean;
  /** Stations that work on it, each with its quota where it has one. */
  readonly stations?: readonly { readonly name: string; readonly quota?: number }[];
  readonly limits?: BatchLimits;
}

/** A batch manager's client, for the length of `use`. @throws {CodedError} `BATCH_MANAGER_FILE`, those of the client. */
async function withClient<T>(clientFile: string, use: (client: AttestationClient) => Promise<T>): Promise<T> {
  const read = async (path: string) => {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      throw new CodedError("BATCH_MANAGER_FILE", `Cannot read ${path}: ${(error as Error).name}`);
    }
  };
  const configuration = parse(await read(clientFile)) as ClientFile;
  const { tls } = configuration;
  const client = new AttestationClient({
    gateways: configuration.gateways,
    tls: { ca: await read(tls.ca), cert: await read(tls.cert), key: await read(tls.key) },
    name: configuration.name,
    signingKey: JSON.parse(await read(configuration.signingKeyFile)),
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
  });
  try {
    return await use(client);
  } catch (error) {
    throw refusal(error);
  } finally {
    client.close();
  }
}

/** Says whose refusal it is and by which code: the service's own words fit every refusal of a kind. */
function refusal(error: unknown): unknown {
  if (!(error instanceof CodedError) || error.details["fromService"] !== true) return error;
  const { code, message, details } = error;
  const words = message.charAt(0).toLowerCase() + message.slice(1);
  return new CodedError(code, `The attestation service refuses with ${code}: ${words}`, details);
}

/**
 * Works as a batch manager: of the file that is given, or of the local spine.
 * @param file configuration of a batch manager: name, gateways, tls, signingKeyFile.
 */
export async function asBatchManager<T>(
  file: string | undefined,
  use: (client: BatchManagerClient) => Promise<T>,
): Promise<T> {
  const work = (path: string) => withClient(path, (client) => use(new BatchManagerClient(client)));
  if (file !== undefined) return await work(file);
  return await withSpine((line) => console.error(`rk: ${line}`), (spine) => work(spine.batchManagerFile));
}

/**
 * Creates a batch and returns what stations need to know of it.
 * @param clientFile The batch manager's configuration.
 * @throws {CodedError} those of the attestation client: `ATTESTATION_UNREACHABLE`, or the problem that the service answered.
 */
export async function createBatch(
  clientFile: string,
  profile: Profile,
  quantity: number,
  options: BatchOptions | string = {},
): Promise<BatchFile> {
  const { name, held, stations, limits } = typeof options === "string"
    ? { name: options } as BatchOptions
    : options;
  return await withClient(clientFile, async (client) => {
    const answer = await client.createBatch({
      ...(name ? { name } : {}),
      quantity,
      profileName: profile.name,
      profileSha256: profileHash(profile),
      targetId: profile.targetId,
      targetDevice: profile.targetDevice,
      anonymousChips: profile.anonymousChips,
      ...(held ? { held } : {}),
      ...(stations === undefined ? {} : { stations: [...stations] }),
      ...(limits === undefined ? {} : { limits }),
    });
    return {
      batch: answer.batch,
      profile,
      profileSha256: answer.profileSha256,
      quantity: answer.quantity,
      firstSerial: answer.firstSerial,
      lastSerial: answer.lastSerial,
      issuerPublicKey: answer.issuerPublicKey,
    };
  });
}

defineErrors({
  BATCH_MANAGER_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give the batch manager's configuration: name, gateways, tls (ca, cert, key) and signingKeyFile.",
  },
});
