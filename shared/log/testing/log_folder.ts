/** A small log for tests, as path -> bytes, with its keys. */

import { toUtf8 } from "../../base/bytes.ts";
import { formatCheckpoint } from "../checkpoint.ts";
import { encodeLeaf, type Leaf, leafTime } from "../leaf.ts";
import { leafHash, treeRoot } from "../merkle.ts";
import { signNote } from "../note.ts";
import type { CheckpointPolicy } from "../signed_checkpoint.ts";
import { CHECKPOINT_PATH, type LogSource } from "../source.ts";
import { checkpointSigner, type TestKey, witnessSigner } from "./signers.ts";
import { bundlesFrom, tilesFrom } from "./tiles.ts";

/** Origin of the test log. */
export const TEST_ORIGIN = "log.example/factory";
/** When its first entry was written: 2024-11-21T00:00:00Z, in milliseconds since 1970. */
export const TEST_BEGINNING = Date.UTC(2024, 10, 21);
/** Its own key and those of its three witnesses. */
export const TEST_LOG: TestKey = checkpointSigner(TEST_ORIGIN, 1);
/** See {@link TEST_LOG}. */
export const TEST_WITNESSES: readonly TestKey[] = [1, 2, 3].map((n) =>
  witnessSigner(`witness.example/${n}`, 100 + n, () => TEST_BEGINNING / 1000 + 86_400)
);
/** A reader that asks for two of the three. */
export const TEST_POLICY: CheckpointPolicy = {
  origin: TEST_ORIGIN,
  log: [TEST_LOG.verifier],
  witnesses: TEST_WITNESSES.map(({ verifier }) => verifier),
  quorum: 2,
};

/** The files of a log. */
export type LogFiles = Map<string, Uint8Array>;

/** A leaf as the gateway writes many: the tenth of each ten is a refusal. */
export function testLeaf(index: number, changes: Partial<Leaf> = {}): Leaf {
  const mac = new Uint8Array(16).fill(index % 7).toBase64({ alphabet: "base64url", omitPadding: true });
  const common = { time: leafTime(TEST_BEGINNING + index * 1000), software: "0.4.0" };
  const leaf: Leaf = index % 10 === 9
    ? {
      ...common,
      event: "gateway.request-refused",
      actor: `client:${mac}`,
      outcome: "refused",
      reason: "rate-limited",
    }
    : {
      ...common,
      event: "attestation.card-attested",
      actor: `sender:${mac}`,
      subject: `card:${mac}`,
      outcome: "done",
    };
  return { ...leaf, ...changes };
}

/** Bytes of the first entries of the test log. */
export function testEntries(size: number): Uint8Array[] {
  return Array.from({ length: size }, (_, index) => encodeLeaf(testLeaf(index)));
}

/** The checkpoint note of these entries. */
export async function testCheckpoint(
  entries: readonly Uint8Array[],
  signers: readonly TestKey[] = [TEST_LOG, ...TEST_WITNESSES],
  origin = TEST_ORIGIN,
): Promise<Uint8Array> {
  const root = treeRoot(entries.map(leafHash));
  const text = formatCheckpoint({ origin, size: entries.length, root, extensions: [] });
  return await signNote(text, signers.map(({ signer }) => signer));
}

/** All files of a log of these entries. */
export async function logFiles(entries: readonly Uint8Array[]): Promise<LogFiles> {
  const files: LogFiles = new Map([...tilesFrom(entries.map(leafHash)), ...bundlesFrom(entries)]);
  files.set(CHECKPOINT_PATH, await testCheckpoint(entries));
  return files;
}

/** The files as a source. */
export function filesSource(files: LogFiles): LogSource {
  return { name: "the test log", read: (path) => Promise.resolve(files.get(path)) };
}

/** Writes the files into a folder, each whole; the checkpoint last, as a log does. */
export async function writeLog(folder: string, files: LogFiles): Promise<void> {
  for (const [path, bytes] of files) {
    const file = `${folder}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(`${file}.new`, bytes);
    await Deno.rename(`${file}.new`, file);
  }
  await Deno.writeFile(
    `${folder}/trust.json`,
    toUtf8(JSON.stringify({
      origin: TEST_ORIGIN,
      log: [TEST_LOG.vkey],
      witnesses: TEST_WITNESSES.map(({ vkey }) => vkey),
      quorum: 2,
    })),
  );
}
