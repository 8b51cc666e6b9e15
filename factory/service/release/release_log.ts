/** The log of releases: an entry for each published package, and beside each package a proof from the newest checkpoint. */

import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { LogReader } from "shared/log/reader.ts";
import { hsmLogSigner } from "shared/log/store/note_signers.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { ProcessLog } from "shared/log/store/process_log.ts";
import { openSqliteSequence } from "shared/log/store/sqlite_sequence.ts";
import { ed25519Verifier, formatVerifierKey } from "shared/log/vkey.ts";
import { type LogTrust, trustPolicy } from "shared/log/trust.ts";
import { proofPath, type PublishedPackage, releaseEntry } from "shared/protocol/release/entry.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { ReleaseFolder } from "./repository.ts";

/** What readers must know to verify a log whose key is in a token. @throws {CodedError} `LOG_KEY_CURVE`, `HSM_KEY_MISSING`. */
export async function logTrustOf(hsm: Hsm, label: string, origin: string): Promise<LogTrust> {
  const { verifierKey } = await hsmLogSigner(hsm, label, origin);
  return { origin, log: [formatVerifierKey(verifierKey)], witnesses: [], quorum: 0 };
}

/**
 * Appends what is not there yet, and writes every proof anew from the newest checkpoint.
 * @param label of the log's key in the token.
 */
export async function logReleases(
  folder: ReleaseFolder,
  hsm: Hsm,
  label: string,
  trust: LogTrust,
  packages: readonly PublishedPackage[],
): Promise<void> {
  const { origin } = trustPolicy(trust);
  const signer = await hsmLogSigner(hsm, label, origin);
  const directory = `${folder.path}/public/log`;
  const log = new ProcessLog({
    origin,
    sequence: openSqliteSequence(`${folder.path}/private/log.sqlite`, origin),
    tiles: await openFileTileStore({ directory }),
    signers: [signer],
    verifiers: [ed25519Verifier(signer.verifierKey)],
    logger: createLogger("release-log", { level: "warning" }),
  });
  const wanted = new Map(packages.map((each) => [fromUtf8(releaseEntry(each)), each]));
  log.start();
  try {
    const there = folder.exists("public/log/checkpoint") ? await indices(directory, trust) : new Map();
    for (const [entry] of wanted) {
      // An earlier run may have ended between the entry and its proof.
      if (!there.has(entry)) await log.included(await log.append(toUtf8(entry)));
    }
  } finally {
    await log.stop();
  }
  if (packages.length === 0) return;
  const reader = await LogReader.open(directorySource(directory), trustPolicy(trust));
  for (const [entry, index] of await indices(directory, trust)) {
    const found = wanted.get(entry);
    if (found !== undefined) folder.write(`public/${proofPath(found.sha256)}`, await reader.prove(index));
  }
}

/** Index of every entry that the log has, by its text. */
async function indices(directory: string, trust: LogTrust): Promise<Map<string, number>> {
  const reader = await LogReader.open(directorySource(directory), trustPolicy(trust));
  const found = new Map<string, number>();
  for await (const { index, bytes } of reader.entries(0, reader.checkpoint.size)) {
    found.set(fromUtf8(bytes), index);
  }
  return found;
}
