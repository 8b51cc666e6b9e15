/** Takes only releases that stand in the public log of releases, and remembers the newest state of that log. */

import { concat } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { proofPath } from "shared/protocol/release/entry.ts";
import type { VerifiedRelease } from "shared/protocol/release/metadata.ts";
import type { LogSource } from "shared/log/source.ts";
import { checkTransparency, keepCheckpoint, seenCheckpoint } from "./transparency.ts";
import type { FileSource } from "./tuf/http_source.ts";
import "./errors.ts";

/** Longest proof, in bytes: 1,024 witnesses and a tree of 2^63 entries. */
const PROOF_BYTES_MAX = 1_200_000;

/** How the log is reached and remembered. */
export interface LoggedReleasesOptions {
  readonly source: FileSource;
  /** Address of the repository, without a slash at its end. */
  readonly repository: string;
  /** File of the newest checkpoint that this wallet has seen. */
  readonly seenFile: string;
}

/**
 * Makes the check that `repositoryReleases` asks for each release.
 * @returns a function that throws `CodedError`: `TRANSPARENCY_*`, those of the proof, `WALLET_UPDATE_PACKAGE` without a proof.
 */
export function requireLoggedIn(options: LoggedReleasesOptions): (release: VerifiedRelease) => Promise<void> {
  const { source, repository, seenFile } = options;
  const log: LogSource = {
    name: `${repository}/log`,
    read: (path, maxBytes) => readFile(source, `${repository}/log/${path}`, maxBytes),
  };
  return async (verified) => {
    const proof = await readFile(source, `${repository}/${proofPath(verified.sha256)}`, PROOF_BYTES_MAX);
    if (proof === undefined) {
      throw new CodedError("WALLET_UPDATE_PACKAGE", "Cannot use release: it has no proof of the public log");
    }
    const { checkpoint } = await checkTransparency({
      release: {
        product: verified.release.product,
        version: verified.release.version,
        path: verified.path,
        length: verified.length,
        sha256: verified.sha256,
      },
      proof,
      trust: verified.transparency,
      seen: seenCheckpoint(seenFile),
      log,
    });
    keepCheckpoint(seenFile, checkpoint);
  };
}

/** A whole file; undefined when there is none. @throws {CodedError} `WALLET_UPDATE_PACKAGE` over the bound. */
async function readFile(source: FileSource, url: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const answer = await source.get(url, 0);
  if (answer.status !== 200) {
    answer.cancel();
    if (answer.status === 404 || answer.status === 403) return undefined;
    throw new CodedError(
      "WALLET_UPDATE_PACKAGE",
      `Cannot read ${url}: the repository answers ${answer.status}`,
    );
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body) {
    size += part.length;
    if (size > maxBytes) {
      throw new CodedError(
        "WALLET_UPDATE_PACKAGE",
        `Cannot read ${url}: it is longer than ${maxBytes} bytes`,
      );
    }
    parts.push(part);
  }
  return concat(...parts);
}
