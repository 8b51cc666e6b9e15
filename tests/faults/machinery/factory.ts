/**
 * The factory that tears are tried on, in this process: a real database, a token with the factory's keys and the attestation
 * service's own code.
 */

import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { makeFactoryKeys } from "factory/service/factory_keys/keys.ts";
import type { AttestationService } from "factory/service/attestation/attestation_service.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import { type BackendKind, type Backends, openBackends } from "tests/environment/attestation/backends.ts";
import {
  accepted,
  makeSender,
  makeService,
  stamp,
  type TestSender,
} from "tests/environment/attestation/service.ts";

/** A factory that runs. */
export interface Factory extends AsyncDisposable {
  readonly stations: readonly TestSender[];
  /** Folder of the package, the journals and the host identities. */
  readonly folder: string;
  readonly backends: Backends;
  readonly service: AttestationService;
  /** Creates a batch: a serial that gets lost is one that its last card then lacks. */
  batch(name: string, quantity: number): Promise<BatchFile>;
}

/** How large a factory is. */
export interface FactoryOptions {
  readonly backend: BackendKind;
  /** Stations that may send. */
  readonly stations: number;
}

/** Starts a factory for blank `recovery-key` cards, with their package signed. */
export async function openFactory(options: FactoryOptions): Promise<Factory> {
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "rk-faults-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const backends = started.use(await openBackends(options.backend));
  await makeFactoryKeys(backends.hsm);
  const stations = await Promise.all(
    Array.from({ length: options.stations }, (_, i) => makeSender(`line-${i + 1}`, "station")),
  );
  const manager = await makeSender("office", "batch-manager");
  const service = await makeService(backends.database, backends.hsm, { senders: [...stations, manager] });
  const profile = await demoProfile(folder, backends.hsm, SYSTEM_RANDOM);
  const owned = started.move();
  return {
    backends,
    service,
    async batch(name, quantity) {
      const answer = accepted(
        await service.createBatch(stamp(manager), {
          name,
          quantity,
          profileName: profile.name,
          profileSha256: profileHash(profile),
          targetId: profile.targetId,
          targetDevice: profile.targetDevice,
        }),
      );
      const { batch, profileSha256, firstSerial, lastSerial, issuerPublicKey } = answer;
      return { batch, profile, profileSha256, quantity, firstSerial, lastSerial, issuerPublicKey };
    },
    stations,
    folder,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
