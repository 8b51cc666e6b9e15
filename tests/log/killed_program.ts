/**
 * One instance of a log's process that ends itself with SIGKILL at the N-th write; with N = 0 it runs to its end and prints every
 * point; with a point's name it stops itself there once (SIGSTOP), until somebody lets it go on. What it acknowledged to its
 * callers stands on standard output.
 *
 *     killed_program.ts URL PREFIX DIRECTORY N|NAME
 */

import { toUtf8 } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { PostgresSequence } from "shared/log/store/postgres_sequence.ts";
import type { Sequence } from "shared/log/store/sequence.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { openTestLog, TEST_ORIGIN } from "tests/environment/log/fixture.ts";

const [url, prefix, directory, killAt] = Deno.args as [string, string, string, string];
/** Entries of each batch: the second one fills a tile. */
const BATCHES = [100, 200];
const LEASE_MS = 250;

const output = (line: string) => Deno.stdout.writeSync(toUtf8(`${line}\n`));
let count = 0;
let stopped = false;
const point = (name: string) => {
  count++;
  if (killAt === "0") output(`point ${name}`);
  else if (count === Number(killAt)) Deno.kill(Deno.pid, "SIGKILL");
  else if (name === killAt && !stopped) {
    stopped = true;
    output(`stopped ${name}`);
    Deno.kill(Deno.pid, "SIGSTOP");
  }
};

const database = openDatabase({ url, applicationName: "killed", max: 3 });
const sequence = new PostgresSequence({ database, origin: TEST_ORIGIN, prefix });
/** The same sequence, with a point before and behind each commit. */
const observed: Sequence = {
  head: () => sequence.head(),
  lead: (holder, leaseMs) => sequence.lead(holder, leaseMs),
  resign: (fence) => sequence.resign(fence),
  isDue: (fence, size, leaseMs) => sequence.isDue(fence, size, leaseMs),
  entries: (start, end) => sequence.entries(start, end),
  find: (receipts) => sequence.find(receipts),
  close: () => sequence.close(),
  append: async (entries) => {
    point("before append");
    const receipts = await sequence.append(entries);
    point("behind append");
    return receipts;
  },
  integrate: (fence, size, limit, leaseMs, rootOf) =>
    sequence.integrate(fence, size, limit, leaseMs, (entries) => {
      point("inside the transaction of indices");
      return rootOf(entries);
    }),
  sign: async (fence, size, checkpoint) => {
    point("before keeping the checkpoint");
    await sequence.sign(fence, size, checkpoint);
  },
};
const log = await openTestLog(database, directory, {
  sequence: observed,
  tiles: await openFileTileStore({ directory, onWrite: point }),
  leaseMs: LEASE_MS,
  onStep: point,
}, createLogger("killed", { write: (line) => output(`event ${JSON.parse(line).event}`) }));
log.start();
for (const [batch, size] of BATCHES.entries()) {
  const entries = Array.from({ length: size }, (_, i) => `batch ${batch} entry ${i}`);
  const receipts = await Promise.all(entries.map(async (entry) => {
    const receipt = await log.append(toUtf8(entry));
    return receipt;
  }));
  // The answer to the callers: from here on nothing of it may be lost.
  output(`acknowledged ${JSON.stringify(entries)}`);
  const inclusions = await Promise.all(receipts.map((receipt) => log.included(receipt, 120_000)));
  output(`included ${JSON.stringify(inclusions.map(({ index }, i) => [index, entries[i]]))}`);
}
await log.stop();
await database.close();
