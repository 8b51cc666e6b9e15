/**
 * `rk bench log`: entries a second that are durably committed, in the tree and in a signed checkpoint, and what a proof costs
 * at three sizes. Beside them, measured in the same run: what the disk and the database alone can do.
 */

import { Buffer } from "node:buffer";
import { createLogger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { leafHash, verifyInclusion } from "shared/log/merkle.ts";
import { formatCheckpoint } from "shared/log/checkpoint.ts";
import { signNote } from "shared/log/note.ts";
import { TileTree } from "shared/log/proof_from_tiles.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { logMigrations } from "shared/log/store/migrations.ts";
import { seedLogSigner } from "shared/log/store/note_signers.ts";
import { PostgresSequence } from "shared/log/store/postgres_sequence.ts";
import { ServiceLog } from "shared/log/store/service_log.ts";
import { TreeEdge } from "shared/log/store/tree_edge.ts";
import { tilePath } from "shared/log/tile.ts";
import { formatTlogProof } from "shared/log/tlog_proof.ts";
import { ed25519Verifier } from "shared/log/vkey.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate } from "shared/transport/postgres/migrate.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { percentile, rounded } from "./statistics.ts";

/** What to measure. */
export interface LogBenchOptions {
  /** On the disk that is meant: database and tiles go there. */
  readonly folder: string;
  readonly seconds: number;
  readonly tell: (line: string) => void;
}

/** One size of log. */
export interface ProofBench {
  /** A whole proof file: the inclusion proof and the checkpoint, without the entry. */
  readonly bytes: number;
  /** Median time to make it from tiles on disk, every tile checked against the checkpoint, nothing kept from before. */
  readonly ms: number;
}

/** The result; names are those of the commands that measure. */
export interface LogBench {
  /** Entries that callers gave one by one, committed with fsync, until the last was in a signed checkpoint on disk. */
  readonly entriesPerSecond: number;
  readonly proof: Readonly<Record<"1000" | "100000" | "1000000", ProofBench>>;
  /** What happened on the way. */
  readonly entries: number;
  readonly checkpoints: number;
  readonly callers: number;
  readonly appendMs: { readonly p50: number; readonly p99: number };
  /** What the same machine does without a log, in the same run. */
  readonly limit: {
    /** Writes of 8 KiB with fsync, one behind the other, on the disk of the database. */
    readonly fsyncsPerSecond: number;
    /** Rows a second that PostgreSQL inserts in commits of 2,048 rows, into a plain table, one connection. */
    readonly insertsPerSecond: number;
    /** Rows a second with a commit for each, as without group commit. */
    readonly singleCommitsPerSecond: number;
  };
}

const ORIGIN = "bench.example/log";
const CALLERS = 4096;
const ENTRY_BYTES = 300;
const PROOF_SIZES = [1_000, 100_000, 1_000_000] as const;
const PROOFS = 200;
const BUILD_ENTRIES = 64 * 256;

/** Runs the benchmark. */
export async function benchLog(options: LogBenchOptions): Promise<LogBench> {
  const { folder, tell } = options;
  await Deno.mkdir(`${folder}/database`, { recursive: true });
  await using postgres = await startPostgres({ directory: `${folder}/database`, tls: true });
  const database = openDatabase({ url: postgres.url, tls: postgres.tls!, applicationName: "bench" });
  try {
    await migrate(database, logMigrations(1));
    tell("the disk and the database alone");
    const limit = {
      fsyncsPerSecond: await fsyncRate(postgres.socketDirectory),
      insertsPerSecond: await insertRate(database, 2048),
      singleCommitsPerSecond: await insertRate(database, 1),
    };
    tell(`${CALLERS} callers for ${options.seconds} s`);
    const appended = await appendRate(database, `${folder}/log`, options.seconds * 1000);
    return { ...appended, proof: await proofs(folder, tell), limit };
  } finally {
    await database.close();
  }
}

/** An entry such as services write: about as long, and never the same twice. */
function entryOf(number: number): Uint8Array {
  const text = `{"actor":"bench","event":"card.attested","subject":"${
    String(number).padStart(16, "0")
  }","pad":"`;
  return new TextEncoder().encode(`${text.padEnd(ENTRY_BYTES - 2, "x")}"}`);
}

async function appendRate(
  database: Database,
  directory: string,
  durationMs: number,
): Promise<Omit<LogBench, "proof" | "limit">> {
  using seed = new Secret(SYSTEM_RANDOM(32));
  const signer = seedLogSigner(seed, ORIGIN);
  let checkpoints = 0;
  const log = new ServiceLog({
    origin: ORIGIN,
    sequence: new PostgresSequence({ database, origin: ORIGIN }),
    tiles: await openFileTileStore({ directory }),
    signers: [signer],
    verifiers: [ed25519Verifier(signer.verifierKey)],
    logger: createLogger("bench", { level: "warning" }),
    onPublished: () => checkpoints++,
  });
  log.start();
  await log.included(await log.append(entryOf(-1))); // everything is open and compiled
  const before = checkpoints;
  let entries = 0;
  let last = 0n;
  const times: number[] = [];
  const start = performance.now();
  const end = start + durationMs;
  await Promise.all(Array.from({ length: CALLERS }, async () => {
    while (performance.now() < end) {
      const begun = performance.now();
      const receipt = await log.append(entryOf(entries++));
      times.push(performance.now() - begun);
      if (receipt > last) last = receipt;
    }
  }));
  // The clock stops when nothing is owed any more.
  await log.included(last, 60_000);
  const seconds = (performance.now() - start) / 1000;
  await log.stop();
  return {
    entriesPerSecond: Math.floor(entries / seconds),
    entries,
    checkpoints: checkpoints - before,
    callers: CALLERS,
    appendMs: { p50: rounded(percentile(times, 50)), p99: rounded(percentile(times, 99)) },
  };
}

/** Grows one log to each size, on disk, and proves entries of it. */
async function proofs(folder: string, tell: (line: string) => void): Promise<LogBench["proof"]> {
  using seed = new Secret(SYSTEM_RANDOM(32));
  const signer = seedLogSigner(seed, ORIGIN);
  const edge = new TreeEdge();
  const directory = `${folder}/proofs`;
  const result: Partial<Record<string, ProofBench>> = {};
  for (const size of PROOF_SIZES) {
    tell(`proofs at ${size} entries`);
    while (edge.size < size) {
      const some = Math.min(BUILD_ENTRIES, size - edge.size);
      const full = edge.append(Array.from({ length: some }, (_, i) => Buffer.from(`entry ${edge.size + i}`)));
      // Proofs need hashes, not entries; and what is built for measuring may be lost.
      await writeTiles(directory, full);
    }
    await writeTiles(directory, edge.partial());
    const root = edge.root();
    const text = formatCheckpoint({ origin: ORIGIN, size, root, extensions: [] });
    const checkpoint = await signNote(text, [signer]);
    const times: number[] = [];
    let bytes = 0;
    for (let i = 0; i < PROOFS; i++) {
      const index = Math.floor((i + 0.5) * size / PROOFS);
      const start = performance.now();
      const tree = new TileTree(size, root, (tile) => Deno.readFile(`${directory}/${tilePath(tile)}`));
      const hashes = await tree.inclusionProof(index);
      const file = formatTlogProof({ index, hashes, checkpoint });
      times.push(performance.now() - start);
      bytes = Math.max(bytes, file.length);
      if (!verifyInclusion(hashes, index, size, leafHash(Buffer.from(`entry ${index}`)), root)) {
        throw new Error(`Cannot measure proofs: the one of entry ${index} does not verify`);
      }
    }
    result[size] = { bytes, ms: rounded(percentile(times, 50), 3) };
  }
  return result as LogBench["proof"];
}

async function writeTiles(
  directory: string,
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): Promise<void> {
  for (const { path, bytes } of files) {
    if (path.startsWith("tile/entries/")) continue;
    const target = `${directory}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(target, bytes);
  }
}

async function fsyncRate(folder: string): Promise<number> {
  const path = `${folder}/fsync`;
  using file = await Deno.open(path, { create: true, write: true });
  const block = new Uint8Array(8192);
  let count = 0;
  const start = performance.now();
  while (performance.now() < start + 1000) {
    await file.seek(0, Deno.SeekMode.Start);
    await file.write(block);
    await file.sync();
    count++;
  }
  const rate = count / (performance.now() - start) * 1000;
  await Deno.remove(path);
  return Math.floor(rate);
}

async function insertRate(database: Database, rows: number): Promise<number> {
  const { sql } = database;
  await sql.unsafe(
    "create table if not exists bench_rows (id bigint generated always as identity, entry bytea)",
  );
  const text = Array.from({ length: rows }, (_, i) => entryOf(i).toHex()).join(",");
  let count = 0;
  const start = performance.now();
  while (performance.now() < start + 1500) {
    await sql`insert into bench_rows (entry) select decode(hex, 'hex') from unnest(string_to_array(${text}, ',')) hex`;
    count += rows;
  }
  const rate = count / (performance.now() - start) * 1000;
  await sql.unsafe("drop table bench_rows");
  return Math.floor(rate);
}
