/** Releases from a repository of The Update Framework: the client fetches and remembers, and each release is verified as a vault does it. */

import type { TargetFile } from "@tufjs/models";
import { compareVersions, parseReleaseTarget, releasePath } from "shared/protocol/release/target.ts";
import { type ReleaseBundle, verifyRelease } from "shared/protocol/release/metadata.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { FoundRelease, ReleasePort } from "./ports.ts";

/** What this needs of the client. */
export interface RepositoryClient {
  listTargets(role: string): Promise<TargetFile[]>;
  bundle(path: string): Promise<ReleaseBundle>;
  /** @returns path of the verified file. */
  download(path: string, progress?: (bytes: number, length: number) => void): Promise<string>;
}

/** How a repository is believed. */
export interface RepositoryReleasesOptions {
  readonly client: RepositoryClient;
  /** The root that came with this wallet. */
  readonly trustedRoot: Uint8Array;
  readonly clock: Clock;
  /** Checks that the release stands in the log of releases. @throws {CodedError} when it does not. */
  readonly requireLogged?: (release: FoundRelease["verified"]) => Promise<void>;
  readonly onDownload?: (bytes: number, length: number) => void;
}

/** Opens the port. */
export function repositoryReleases(options: RepositoryReleasesOptions): ReleasePort {
  const { client, trustedRoot, clock, requireLogged, onDownload } = options;
  const found = async (path: string): Promise<FoundRelease> => {
    const bundle = await client.bundle(path);
    const verified = verifyRelease(bundle, trustedRoot, clock.now());
    await requireLogged?.(verified);
    return {
      bundle,
      verified,
      fetch: async () => await Deno.readFile(await client.download(path, onDownload)),
    };
  };
  const versions = async (product: string) =>
    (await client.listTargets(product)).map(({ path, custom }) => ({
      path,
      version: parseReleaseTarget(custom).version,
    })).filter(({ path, version }) => path === releasePath(product, version));
  return {
    async newest(product) {
      const newest = (await versions(product)).sort((a, b) => compareVersions(a.version, b.version)).at(-1);
      return newest && await found(newest.path);
    },
    async find(product, version) {
      const one = (await versions(product)).find((each) => compareVersions(each.version, version) === 0);
      return one && await found(one.path);
    },
  };
}
