/**
 * The whole spine as processes of their own (two gateways, two attestation services, PostgreSQL, SoftHSM), a proxy that
 * knows each commit, and the means to kill any of them there and to start it again.
 */

import { HOME } from "cli/home.ts";
import { demoProfile } from "cli/demo/profile.ts";
import { writePrivate } from "cli/paths.ts";
import { createBatch } from "cli/spine/batch.ts";
import { type Spine, startSpine } from "cli/spine/spine.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import type { BatchFile } from "factory/domain/profile_batch.ts";
import { AttestationClient } from "factory/service/station/attestation_client.ts";
import { readPrivateJwk, readStationConfig, readTls } from "factory/app/station_config.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type CommitProxy, startCommitProxy } from "./commit_proxy.ts";
import { type Line, openLine } from "./line.ts";

/** Who can be killed at a commit. `service` is the instance that is committing, `gateways` are both. */
export const VICTIMS = ["service", "database", "gateways"] as const;
/** One of `VICTIMS`. */
export type Victim = (typeof VICTIMS)[number];

/** A spine for faults. */
export interface SpineLine extends AsyncDisposable {
  readonly spine: Spine;
  readonly folder: string;
  readonly proxy: CommitProxy;
  /** The database past the proxy, for the audit. */
  readonly database: Database;
  /** Creates a batch; the file is what stations take. */
  batch(quantity: number): Promise<{ batch: BatchFile; file: string }>;
  /** A station in this process, through the real gateways. */
  station(batch: BatchFile, stateFolder: string): Promise<Line>;
  /** SIGKILL, or for the database an immediate shutdown; `who` is the service that commits. */
  kill(victim: Victim, who: string): Promise<void>;
  /** Starts again what was killed. */
  revive(): Promise<void>;
}

const GATEWAYS = ["gateway-a", "gateway-b"] as const;

/** Starts it. */
export async function openSpineLine(): Promise<SpineLine> {
  await Deno.mkdir(HOME, { recursive: true });
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "kill-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  let proxy: CommitProxy | undefined;
  const spine = await startSpine({
    folder,
    real: true,
    databaseProxy: ({ socketDirectory, port }) => {
      proxy = startCommitProxy(`${socketDirectory}/.s.PGSQL.${port}`);
      return Promise.resolve(proxy.address);
    },
  });
  started.use(proxy!);
  started.defer(() => spine.stop());
  const database = openDatabase({ url: spine.postgres!.socketUrl, applicationName: "audit", max: 2 });
  started.defer(() => database.close());
  const profile = await demoProfile(folder, spine.token.hsm, SYSTEM_RANDOM);
  const dead = new Set<string>();
  const owned = started.move();
  return {
    spine,
    folder,
    proxy: proxy!,
    database,
    async batch(quantity) {
      const batch = await createBatch(spine.descriptor.batchManagerFile, profile, quantity);
      const file = `${folder}/${batch.batch}.json`;
      await writePrivate(file, encodeBatchFile(batch));
      return { batch, file };
    },
    async station(batch, stateFolder) {
      const config = await readStationConfig(spine.descriptor.stationFile);
      const attestation = new AttestationClient({
        gateways: config.gateways,
        tls: await readTls(config.tls),
        name: config.name,
        signingKey: readPrivateJwk(config.signingKeyFile, "OKP"),
        sealingKey: readPrivateJwk(config.sealingKeyFile, "EC"),
        clock: SYSTEM_CLOCK,
        random: SYSTEM_RANDOM,
      });
      const line = await openLine({
        packageFolder: folder,
        batch,
        attestation,
        hsm: spine.token.hsm,
        stateFolder,
      });
      return {
        ...line,
        async [Symbol.asyncDispose]() {
          attestation.close();
          await line[Symbol.asyncDispose]();
        },
      };
    },
    async kill(victim, who) {
      if (victim === "database") {
        dead.add("database");
        await spine.postgres!.kill();
        return;
      }
      for (const name of victim === "service" ? [who] : GATEWAYS) {
        dead.add(name);
        await spine.children.get(name)!.kill();
      }
    },
    async revive() {
      if (dead.delete("database")) await spine.postgres!.restart();
      await Promise.all([...dead].map((name) => spine.restart(name)));
      dead.clear();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
