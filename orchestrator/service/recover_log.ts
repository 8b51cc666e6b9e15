/** The tamper-evident log as sessions write it. */

import type { EventName } from "shared/log/events.ts";
import type { ServiceEventLog } from "shared/log/writer/event_log.ts";
import type { SessionLogEntry } from "../transport/session_store/port.ts";
import type { RecoverLog } from "../transport/session_store/postgres_store.ts";

const EVENTS = {
  backup: "orchestrator.backup",
  restore: "orchestrator.restore",
  delete: "orchestrator.deletion",
} as const satisfies Record<SessionLogEntry["flow"], EventName>;

/** The log of a session store. */
export function recoverLog(events: ServiceEventLog): RecoverLog {
  return {
    async commit({ session, flow, outcome, code }, sql) {
      const subject = { kind: "session", identifier: session } as const;
      const reason = code === undefined ? {} : { reason: code };
      await events.inTransaction(sql, [{
        event: EVENTS[flow],
        facts: { actor: events.self, subject, outcome, ...reason },
      }]);
    },
    committed: () => events.committed(),
  };
}
