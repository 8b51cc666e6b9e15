/** A log on a real database, its folder and its key, for tests. */

import assert from "node:assert/strict";
import { equal } from "shared/base/bytes.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { leafHash, verifyConsistency, verifyInclusion } from "shared/log/merkle.ts";
import { parseCheckpoint } from "shared/log/checkpoint.ts";
import { parseNote, verifyNote } from "shared/log/note.ts";
import { TileTree } from "shared/log/proof_from_tiles.ts";
import { bundlesOf, parseBundle, tilePath } from "shared/log/tile.ts";
import { ed25519Verifier } from "shared/log/vkey.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { logMigrations } from "shared/log/store/migrations.ts";
import { seedLogSigner } from "shared/log/store/note_signers.ts";
import { PostgresSequence } from "shared/log/store/postgres_sequence.ts";
import { ServiceLog } from "shared/log/store/service_log.ts";
import type { SequencerOptions } from "shared/log/store/sequencer.ts";
import type { TileStore } from "shared/log/store/tile_store.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { type Database, openDatabase } from "shared/transport/postgres/database.ts";
import { migrate, type Migration } from "shared/transport/postgres/migrate.ts";
import { type Postgres, startPostgres } from "../postgres.ts";

/** Origin of the tests' logs. */
export const TEST_ORIGIN = "example.com/test-log";

/** Which database. */
export type LogDatabaseKind = "PGlite" | "PostgreSQL";

const SILENT = createLogger("test", { write: () => {} });

/** The key that signs in every test: the same in each process of a test. */
export function testSigner() {
  return seedLogSigner(new Secret(new Uint8Array(32).fill(42)), TEST_ORIGIN);
}

/** Verifier of {@link testSigner}. */
export function testVerifiers() {
  return [ed25519Verifier(testSigner().verifierKey)];
}

/** A database with the tables of a log, and a folder. */
export interface LogFixture extends AsyncDisposable {
  readonly url: string;
  readonly database: Database;
  readonly directory: string;
  /** The server itself, with PostgreSQL. */
  readonly postgres?: Postgres;
  /** One more instance of the log's process. */
  open(options?: Partial<SequencerOptions>): Promise<ServiceLog>;
  tiles(): Promise<TileStore>;
}

/** Starts a database of its own. @param extra steps of the service itself, behind the log's. */
export async function openLogFixture(
  kind: LogDatabaseKind,
  extra: (firstId: number) => readonly Migration[] = () => [],
): Promise<LogFixture> {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const logger = createLogger("test", { write: () => {} });
  let url: string;
  let postgres: Postgres | undefined;
  if (kind === "PGlite") {
    const server = await startPGliteServer({
      directory: `${folder}/database`,
      listen: { kind: "unix", path: `${folder}/.s.PGSQL.5432` },
      logger,
      onDeath: () => {},
    });
    started.defer(() => server.stop());
    url = server.url;
  } else {
    await Deno.mkdir(`${folder}/database`);
    postgres = await startPostgres({ directory: `${folder}/database` });
    started.use(postgres);
    url = postgres.url;
  }
  const database = openDatabase({ url, applicationName: "log-test" });
  started.defer(() => database.close());
  const log = logMigrations(1);
  await migrate(database, [...log, ...extra(log.length + 1)]);
  const directory = `${folder}/log`;
  const owned = started.move();
  return {
    url,
    database,
    directory,
    ...(postgres ? { postgres } : {}),
    open: (options) => openTestLog(database, directory, options),
    tiles: () => openFileTileStore({ directory }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Opens a log of the tests' key on a database that is there. */
export async function openTestLog(
  database: Database,
  directory: string,
  options: Partial<SequencerOptions> = {},
  logger: Logger = SILENT,
): Promise<ServiceLog> {
  return new ServiceLog({
    origin: TEST_ORIGIN,
    sequence: new PostgresSequence({ database, origin: TEST_ORIGIN }),
    tiles: options.tiles ?? await openFileTileStore({ directory }),
    signers: [testSigner()],
    verifiers: testVerifiers(),
    logger,
    idleMs: 10,
    ...options,
  });
}

/** What a reader finds in a published log, everything verified. */
export interface ReadLog {
  readonly size: number;
  readonly root: Uint8Array;
  readonly entries: readonly Uint8Array[];
  readonly tree: TileTree;
}

/** Reads a folder as a stranger does: signature, root, every tile and every entry. */
export async function readLog(tiles: TileStore): Promise<ReadLog> {
  const bytes = await tiles.checkpoint();
  assert.ok(bytes, "no checkpoint is published");
  const note = parseNote(bytes);
  assert.equal(verifyNote(note, testVerifiers()).length, 1);
  const { size, root } = parseCheckpoint(note.text);
  const tree = new TileTree(size, root, async (tile) => (await tiles.read(tilePath(tile)))!);
  await tree.verifyRoot();
  const entries: Uint8Array[] = [];
  for (const bundle of bundlesOf(size)) {
    entries.push(...parseBundle((await tiles.read(tilePath(bundle)))!, bundle.width));
  }
  assert.equal(entries.length, size);
  for (const [index, entry] of entries.entries()) {
    assert.ok(equal(await tree.leaf(index), leafHash(entry)), `entry ${index}`);
  }
  return { size, root, entries, tree };
}

/** Asserts that a log is a continuation of an older view of it, by a consistency proof. */
export async function assertContinues(before: ReadLog, after: ReadLog): Promise<void> {
  assert.ok(after.size >= before.size, `shrank from ${before.size} to ${after.size}`);
  if (before.size === 0) return;
  const proof = await after.tree.consistencyProof(before.size);
  assert.ok(verifyConsistency(proof, before.size, after.size, before.root, after.root), "the log forked");
}

/** Asserts that an entry is at its index, by an inclusion proof. */
export async function assertIncluded(log: ReadLog, index: number, entry: Uint8Array): Promise<void> {
  const proof = await log.tree.inclusionProof(index);
  assert.ok(verifyInclusion(proof, index, log.size, leafHash(entry), log.root), `entry ${index}`);
}
