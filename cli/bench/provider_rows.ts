/** Lookups and inserts among many rows, by the store's own statements. */

import { toHex } from "shared/base/bytes.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { BACKUP_BLOB_LENGTH } from "providers/transport/migrations.ts";
import { ANCHORS_ONLY } from "providers/transport/recover_log.ts";
import { ProviderStore } from "providers/transport/store.ts";
import type { TestProvider } from "tests/recover/provider.ts";
import { percentile, rounded } from "./statistics.ts";

/** What rows cost. */
export interface RowsBench {
  /** Pages of 8 KiB that one lookup reads, the median. */
  readonly lookupBuffers: number;
  readonly lookupP99Ms: number;
  /** Of a row in a transaction of its own, committed to disk. */
  readonly insertP99Ms: number;
}

const LOOKUPS = 2000;
const INSERTS = 500;
const PLANS = 100;
/** Rows that one statement makes. */
const CHUNK = 20_000;

/** Fills the table to a number of rows and measures. */
export async function benchRows(
  { database }: Pick<TestProvider, "database">,
  rows: number,
  tell: (line: string) => void,
): Promise<RowsBench> {
  const { sql } = database;
  const count = async () =>
    (await sql<{ rows: number }[]>`SELECT count(*)::int AS rows FROM backups`)[0]!.rows;
  tell(`${rows} rows`);
  for (let have = await count(); have < rows; have += CHUNK) {
    // Identifiers are as random as those of the HSM; the blob is of the same length, and no smaller when compressed.
    await sql`
      INSERT INTO backups
      SELECT sha256(uuid_send(gen_random_uuid())), 1, decode(repeat(md5(n::text), ${
      BACKUP_BLOB_LENGTH / 16
    }), 'hex')
      FROM generate_series(1, ${Math.min(CHUNK, rows - have)}::int) AS n`;
  }
  await sql`ANALYZE backups`;
  const store = new ProviderStore(database, ANCHORS_ONLY);
  const picked = await sql<{ id: string }[]>`
    SELECT encode(identifier, 'hex') AS id FROM backups
    TABLESAMPLE SYSTEM (${Math.min(100, 300 * LOOKUPS / rows)}) LIMIT ${LOOKUPS}`;
  const ids = picked.map(({ id }) => id.toUpperCase());
  const buffers: number[] = [];
  for (const id of ids.slice(0, PLANS)) buffers.push(await buffersOf(database, id));
  const lookups: number[] = [];
  for (let i = 0; i < LOOKUPS; i++) {
    const begun = performance.now();
    const found = await store.backup(ids[i % ids.length]!);
    lookups.push(performance.now() - begun);
    if (found === null) throw new Error("Cannot measure: a row was not found");
  }
  const inserts: number[] = [];
  const nothing = {
    outcome: { kind: "answer", answer: null },
    session: null,
    deviceTag: null,
    event: null,
  } as const;
  for (let i = 0; i < INSERTS; i++) {
    const put = { keyVersion: 1, blob: toHex(SYSTEM_RANDOM(BACKUP_BLOB_LENGTH)) };
    const backup = { put, identifier: toHex(SYSTEM_RANDOM(32)) };
    const begun = performance.now();
    const stored = await store.store(crypto.randomUUID(), { ...nothing, backup }, null, 1);
    inserts.push(performance.now() - begun);
    if (stored !== "stored") throw new Error("Cannot measure: a row was not inserted");
  }
  return {
    lookupBuffers: percentile(buffers, 50),
    lookupP99Ms: rounded(percentile(lookups, 99), 2),
    insertP99Ms: rounded(percentile(inserts, 99), 2),
  };
}

async function buffersOf({ sql }: TestProvider["database"], id: string): Promise<number> {
  const [row] = await sql<{ "QUERY PLAN": { Plan: Record<string, number> }[] }[]>`
    EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
    SELECT key_version, blob FROM backups WHERE identifier = decode(${id}, 'hex')`;
  const plan = row!["QUERY PLAN"][0]!.Plan;
  return plan["Shared Hit Blocks"]! + plan["Shared Read Blocks"]!;
}
