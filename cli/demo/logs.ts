/** The tamper-evident logs of a demo, verified off line from their files as a stranger would. */

import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { LogReader } from "shared/log/reader.ts";
import { verifyLog } from "shared/log/verify.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { EVENT_LOGS, eventLogPaths, UPDATE_LOG } from "../spine/event_logs.ts";
import { openOwn, type OwnDatabase } from "../spine/recover/backends.ts";
import { RECOVER_LOGS } from "../spine/recover/event_logs.ts";
import { waitFor } from "../spine/recover/readiness.ts";
import type { RecoverServices } from "../spine/recover/services.ts";

/** What was found in one log. */
export interface DemoLog {
  readonly name: string;
  readonly entries: number;
  /** Signature, tree and every entry hold. */
  readonly verified: boolean;
}

/**
 * Longest wait for what is entered to be published, in milliseconds: an instance that was killed may have been the one that
 * publishes, and another one takes over when its lease has ended (10 s).
 */
const PUBLISHED_MS = 30_000;

/** Verifies every log of a spine; those of Recover once they hold all that its databases have entered. @param folder the spine's. */
export async function verifyLogs(folder: string, services: RecoverServices): Promise<DemoLog[]> {
  const databases = new Map<string, OwnDatabase>([
    ["orchestrator", services.database],
    ...services.providers.map(({ index, database }) => [`provider-${index}`, database] as const),
  ]);
  return await Promise.all(
    ([...EVENT_LOGS, ...RECOVER_LOGS, UPDATE_LOG] as const).map(async (name): Promise<DemoLog> => {
      const { log, trust } = eventLogPaths(folder, name);
      const policy = trustPolicy(parseTrust(await Deno.readTextFile(trust)));
      const database = databases.get(name);
      if (database !== undefined) {
        const entered = await entriesOf(database);
        await waitFor(async () => {
          const { checkpoint } = await LogReader.open(directorySource(log), policy);
          return checkpoint.size >= entered;
        }, PUBLISHED_MS);
      }
      const { ok, entries } = await verifyLog(directorySource(log), policy, { now: Date.now() });
      return { name, entries, verified: ok };
    }),
  );
}

/** Entries that a database holds, published or not. */
async function entriesOf(database: OwnDatabase): Promise<number> {
  const opened = openOwn(database, "demo");
  try {
    const [row] = await opened.sql<{ entries: number }[]>`
      SELECT (SELECT sum(size)::int FROM log_head) + (SELECT count(*)::int FROM log_pending) AS entries`;
    return row!.entries;
  } finally {
    await opened.close();
  }
}

/** One line for people. */
export function logsLine(logs: readonly DemoLog[]): string {
  const bad = logs.filter(({ verified }) => !verified).map(({ name }) => name);
  const counts = logs.map(({ name, entries }) => `${name} ${entries}`).join(", ");
  return `log entries: ${counts}; ${bad.length === 0 ? "all verify" : `NOT VERIFIED: ${bad.join(", ")}`}.`;
}
