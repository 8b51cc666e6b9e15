/** Releases from a repository of The Update Framework: the client fetches and remembers, and a release is taken with its proof. */

import {
  compareVersions,
  offer,
  parseReleaseTarget,
  releasePath,
  withCounter,
} from "shared/protocol/release/target.ts";
import { verifyRelease } from "shared/protocol/release/metadata.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { FoundRelease, ReleasePort } from "./ports.ts";
import { type ReleasePlace, takeRelease } from "./releases.ts";
import type { TufClient } from "./tuf/client.ts";

/** How a repository is used. */
export interface RepositoryReleasesOptions {
  readonly client: TufClient;
  readonly place: ReleasePlace;
  /** The root that came with this wallet. */
  readonly trustedRoot: Uint8Array;
  readonly clock: Clock;
}

/** Opens the port. */
export function repositoryReleases(
  { client, place, trustedRoot, clock }: RepositoryReleasesOptions,
): ReleasePort {
  const found = async (path: string): Promise<FoundRelease> => {
    const bundle = await client.bundle(path);
    return {
      bundle,
      verified: verifyRelease(bundle, trustedRoot, clock.now()),
      async fetch() {
        const { file } = await takeRelease(client, path, place, clock.now());
        return await Deno.readFile(file);
      },
    };
  };
  /** Newest first. */
  const versions = async (product: string) =>
    (await client.listTargets(product)).map(({ path, custom }) => ({
      path,
      version: parseReleaseTarget(custom).version,
    })).filter(({ path, version }) => path === releasePath(product, version))
      .sort((a, b) => compareVersions(b.version, a.version));
  return {
    async choose(card) {
      let newest: FoundRelease | undefined;
      for (const { path } of await versions(card.product)) {
        const release = await found(path);
        const { verified } = release;
        const known = withCounter(card, verified.releases);
        if (offer(known, verified.release, verified.halted !== undefined).offered) return release;
        newest ??= release;
      }
      return newest;
    },
    async newest(product) {
      const [newest] = await versions(product);
      return newest && await found(newest.path);
    },
    async find(product, version) {
      const one = (await versions(product)).find((each) => compareVersions(each.version, version) === 0);
      return one && await found(one.path);
    },
  };
}
