/**
 * The factory that the faults are tried on: a real database, a token with the factory's keys and the attestation service's own
 * code. Its description is plain data, so that stations in other threads work on the same one.
 */

import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openPkcs11Hsm } from "shared/transport/pkcs11/pkcs11_hsm.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { openSoftwareHsm } from "shared/transport/software_hsm/software_hsm.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { makeFactoryKeys } from "factory/service/factory_keys/keys.ts";
import type { AttestationService } from "factory/service/attestation/attestation_service.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import type { Profile } from "factory/domain/profile.ts";
import { profileHash } from "factory/domain/profile_hash.ts";
import { type BackendKind, type Backends, openBackends } from "tests/environment/attestation/backends.ts";
import {
  accepted,
  makeSender,
  makeService,
  stamp,
  type TestSender,
} from "tests/environment/attestation/service.ts";

/** What a station, in this thread or another, needs to know of a factory. */
export interface FactoryDescription {
  readonly databaseUrl: string;
  /** `hsm` of a configuration file. */
  readonly hsmConfig: Readonly<Record<string, string>>;
  readonly stations: readonly TestSender[];
  readonly manager: TestSender;
  /** Of the cards; its package is in `folder`. */
  readonly profile: Profile;
  /** Folder of the package, the journals and the host identities. */
  readonly folder: string;
}

/** A factory that runs. */
export interface Factory extends AsyncDisposable {
  readonly description: FactoryDescription;
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
    description: {
      databaseUrl: backends.url,
      hsmConfig: backends.hsmConfig,
      stations,
      manager,
      profile,
      folder,
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A factory as another process of the service sees it: connections of its own. */
export async function joinFactory(
  description: FactoryDescription,
): Promise<{ service: AttestationService; hsm: Hsm } & AsyncDisposable> {
  const { kind, ...config } = description.hsmConfig;
  const hsm = kind === "software"
    ? await openSoftwareHsm(config as unknown as Parameters<typeof openSoftwareHsm>[0])
    : await openPkcs11Hsm(config as unknown as Parameters<typeof openPkcs11Hsm>[0]);
  const database = openDatabase({ url: description.databaseUrl, applicationName: "faults", max: 4 });
  const senders = [...description.stations, description.manager];
  return {
    hsm,
    service: await makeService(database, hsm, { senders }),
    [Symbol.asyncDispose]: async () => {
      await database.close();
      await hsm.close();
    },
  };
}
