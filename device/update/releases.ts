/**
 * From a repository to a package that a wallet may load: fetched, verified by the metadata, whole, and in the log of releases.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { LogSource } from "shared/log/source.ts";
import { proofPath } from "shared/protocol/release/entry.ts";
import { type ReleaseBundle, type VerifiedRelease, verifyRelease } from "shared/protocol/release/metadata.ts";
import { type PackageParts, parsePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { checkTransparency, keepCheckpoint, seenCheckpoint } from "./transparency.ts";
import type { TufClient } from "./tuf/client.ts";
import type { Progress } from "./tuf/download.ts";
import type { FileSource } from "./tuf/http_source.ts";
import "./tuf/errors.ts";

/** Longest proof, in bytes. */
const PROOF_BYTES_MAX = 1_200_000;

/** A release that may be loaded. */
export interface TakenRelease {
  readonly release: VerifiedRelease;
  /** What the update service's vault verifies for itself. */
  readonly bundle: ReleaseBundle;
  /** CAP file and signatures. The signature for the card's domain is the caller's to verify (`verifySignedPackage`). */
  readonly parts: PackageParts;
  /** The package file. */
  readonly file: string;
}

/** Where a release is taken from. */
export interface ReleasePlace {
  readonly source: FileSource;
  /** Address of the repository: `metadata/`, `targets/` and `log/` are below it. */
  readonly repositoryUrl: string;
  /** Private file with the newest checkpoint of the log that was seen. */
  readonly seenFile: string;
}

/**
 * Takes a release: its package file, whole and as it was signed, with a proof from a log at least as new as was seen. The caller has
 * judged it before; a halted one is taken too, for a card in the middle of its update.
 * @throws {CodedError} those of the client, `verifyRelease`, `parsePackageFile` and `checkTransparency`; `RELEASE_PROOF`.
 */
export async function takeRelease(
  client: TufClient,
  path: string,
  place: ReleasePlace,
  now: number,
  progress?: Progress,
): Promise<TakenRelease> {
  const bundle = await client.bundle(path);
  const release = verified(bundle, now);
  const { product, version } = release.release;
  const log = filesBelow(place.source, place.repositoryUrl);
  const proof = await log.read(proofPath(release.sha256), PROOF_BYTES_MAX);
  if (proof === undefined) {
    throw new CodedError(
      "RELEASE_PROOF",
      `Cannot use ${path}: the repository has no proof that it is in the log`,
    );
  }
  const { checkpoint } = await checkTransparency({
    release: { product, version, path, length: release.length, sha256: release.sha256 },
    proof,
    trust: release.transparency,
    seen: seenCheckpoint(place.seenFile),
    log: { name: `${log.name}/log`, read: (file, maxBytes) => log.read(`log/${file}`, maxBytes) },
  });
  const file = await client.download(path, progress);
  const parts = parsePackageFile(await Deno.readFile(file));
  keepCheckpoint(place.seenFile, checkpoint);
  return { release, bundle, parts, file };
}

/** Files of a repository as a log's source reads them. */
export function filesBelow(source: FileSource, address: string): LogSource {
  const base = address.replace(/\/+$/, "");
  return {
    name: base,
    async read(path, maxBytes) {
      const { status, body, cancel } = await source.get(`${base}/${path}`, 0);
      if (status !== 200) {
        cancel();
        if (status === 404) return undefined;
        throw new CodedError(
          "TUF_UNREACHABLE",
          `Cannot fetch ${path} from ${base}: the server answers ${status}`,
        );
      }
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of body) {
        length += chunk.length;
        if (length > maxBytes) {
          throw new CodedError("TUF_TOO_LONG", `Cannot use ${path}: it has more than ${maxBytes} bytes`);
        }
        chunks.push(chunk);
      }
      return new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    },
  };
}

/** The wallet's first root is what it trusts from the beginning. */
function verified(bundle: ReleaseBundle, now: number): VerifiedRelease {
  return verifyRelease(bundle, bundle.roots[0]!, now);
}

defineErrors({
  RELEASE_PROOF: {
    fault: "peer",
    retry: true,
    next:
      "A release that is not in the public log is not installed: try again later, and report it if it stays so.",
  },
});
