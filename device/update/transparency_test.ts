import { deepEqual, equal, rejects } from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { LogReader } from "shared/log/reader.ts";
import { filesSource, logFiles, TEST_LOG, TEST_ORIGIN } from "shared/log/testing/log_folder.ts";
import { trustPolicy } from "shared/log/trust.ts";
import { releaseEntry } from "shared/protocol/release/entry.ts";
import { checkTransparency, keepCheckpoint, seenCheckpoint } from "./transparency.ts";

const release = (version: string) => ({
  product: "recovery-key",
  version,
  path: `recovery-key/${version}/recovery-key-${version}.rkpkg`,
  length: 1000,
  sha256: version.replaceAll(".", "").padEnd(64, "0"),
});
const TRUST = { origin: TEST_ORIGIN, log: [TEST_LOG.vkey], witnesses: [], quorum: 0 };

/** A log of releases of these versions, and the proof of one of them. */
async function logOf(versions: readonly string[], proved: string) {
  const log = filesSource(await logFiles(versions.map((version) => releaseEntry(release(version)))));
  const reader = await LogReader.open(log, trustPolicy(TRUST));
  return { log, proof: await reader.prove(versions.indexOf(proved)), checkpoint: reader.checkpointBytes };
}

const check = (
  { log, proof }: Awaited<ReturnType<typeof logOf>>,
  seen: Uint8Array | undefined,
  version = "1.1",
) => checkTransparency({ release: release(version), proof, trust: TRUST, seen, log });

Deno.test("checkTransparency() passes a log that goes on from what was seen, and tells what to keep", async () => {
  const before = await logOf(["1.1"], "1.1");
  const first = await check(before, undefined);
  deepEqual([first.index, first.size], [0, 1]);
  deepEqual(first.checkpoint, before.checkpoint);
  equal((await check(before, first.checkpoint)).size, 1);
  const after = await logOf(["1.1", "1.2", "1.3"], "1.1");
  equal((await check(after, first.checkpoint)).size, 3);
});

Deno.test("checkTransparency() refuses an older log, another log, another entry, another key", async () => {
  const long = await logOf(["1.1", "1.2", "1.3"], "1.1");
  const refused = (code: string, run: Promise<unknown>) => rejects(run, (error) => codeOf(error) === code);
  await refused("TRANSPARENCY_OLD", check(await logOf(["1.1", "1.2"], "1.1"), long.checkpoint));
  await refused("TRANSPARENCY_FORK", check(await logOf(["1.1", "1.9", "1.3"], "1.1"), long.checkpoint));
  await refused(
    "TRANSPARENCY_FORK",
    check(await logOf(["1.0", "1.1", "1.2", "1.3"], "1.1"), long.checkpoint),
  );
  const blind = { ...await logOf(["1.1", "1.2", "1.3", "1.4"], "1.1"), log: filesSource(new Map()) };
  await refused("TRANSPARENCY_FORK", check(blind, long.checkpoint));
  await refused("LOG_PROOF_INVALID", check(long, undefined, "1.2"));
});

Deno.test("keepCheckpoint() keeps what seenCheckpoint() gives; at first there is none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    equal(seenCheckpoint(`${folder}/seen`), undefined);
    const checkpoint = new Uint8Array([1, 2, 3]);
    keepCheckpoint(`${folder}/seen`, checkpoint);
    deepEqual(seenCheckpoint(`${folder}/seen`), new Uint8Array([1, 2, 3]));
    deepEqual(checkpoint, new Uint8Array([1, 2, 3]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
