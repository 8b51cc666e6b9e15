/** Creating a batch through a spine's gateways, as its batch manager. */

import { parse } from "yaml";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { AttestationClient } from "factory/service/station/attestation_client.ts";
import type { Profile } from "factory/domain/profile.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";

interface ClientFile {
  readonly name: string;
  readonly gateways: string[];
  readonly tls: { ca: string; cert: string; key: string };
  readonly signingKeyFile: string;
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
  name?: string,
): Promise<BatchFile> {
  const configuration = parse(await Deno.readTextFile(clientFile)) as ClientFile;
  const read = (path: string) => Deno.readTextFile(path);
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
    const answer = await client.createBatch({
      ...(name ? { name } : {}),
      quantity,
      profileName: profile.name,
      profileSha256: profileHash(profile),
      targetId: profile.targetId,
      targetDevice: profile.targetDevice,
      anonymousChips: profile.anonymousChips,
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
  } finally {
    client.close();
  }
}
