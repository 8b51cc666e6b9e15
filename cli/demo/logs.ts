/** The tamper-evident logs of a demo, verified off line from their files as a stranger would. */

import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { verifyLog } from "shared/log/verify.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { EVENT_LOGS, eventLogPaths } from "../spine/event_logs.ts";
import { RECOVER_LOGS } from "../spine/recover/event_logs.ts";

/** What was found in one log. */
export interface DemoLog {
  readonly name: string;
  readonly entries: number;
  /** Signature, tree and every entry hold. */
  readonly verified: boolean;
}

/** Verifies every log of a spine. @param folder the spine's. */
export async function verifyLogs(folder: string): Promise<DemoLog[]> {
  return await Promise.all([...EVENT_LOGS, ...RECOVER_LOGS].map(async (name): Promise<DemoLog> => {
    const { log, trust } = eventLogPaths(folder, name);
    const policy = trustPolicy(parseTrust(await Deno.readTextFile(trust)));
    const { ok, entries } = await verifyLog(directorySource(log), policy, { now: Date.now() });
    return { name, entries, verified: ok };
  }));
}

/** One line for people. */
export function logsLine(logs: readonly DemoLog[]): string {
  const bad = logs.filter(({ verified }) => !verified).map(({ name }) => name);
  const counts = logs.map(({ name, entries }) => `${name} ${entries}`).join(", ");
  return `log entries: ${counts}; ${bad.length === 0 ? "all verify" : `NOT VERIFIED: ${bad.join(", ")}`}.`;
}
