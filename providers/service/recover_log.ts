/**
 * Where a provider's steps are entered before anything of them is revealed: the tamper-evident log, in the transaction of the step.
 * Each change of a backup is also anchored: its tag is taken once, beside the receipt of its entry.
 */

import type { EventName } from "shared/log/events.ts";
import type { EventEntry, ServiceEventLog } from "shared/log/writer/event_log.ts";
import type { Identified } from "shared/log/recorder.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RecoverLog } from "../transport/recover_log.ts";
import { anchorChange } from "../transport/recover_log.ts";
import type { VaultEvent } from "../vault/protocol.ts";

/** Name of each step in the log. */
const STEP_EVENTS = {
  open: "provider.session-opened",
  deposit: "provider.share-deposited",
  commit: "provider.backup-committed",
  abandon: "provider.session-abandoned",
  confirm: "provider.restore-confirmed",
  count: "provider.attempt-counted",
  release: "provider.share-released",
  delete: "provider.deletion-asked",
  deletion: "provider.share-deleted",
} as const satisfies Record<VaultEvent["event"], EventName>;

const HOUR_MS = 3_600_000;

/** A step as an entry. The first reason stands in it; the line of the refusal has all. */
export function stepEntry(
  { event, result, reasons: [reason], tag }: VaultEvent,
  self: Identified,
): EventEntry {
  return {
    event: STEP_EVENTS[event],
    facts: {
      actor: self,
      outcome: result,
      ...(tag === null ? {} : { subject: { kind: "change", identifier: tag } }),
      ...(reason === undefined ? {} : { reason }),
    },
  };
}

/** The log that a store writes. */
export function recoverLog(events: ServiceEventLog): RecoverLog {
  return {
    async commit(event, sql) {
      const [receipt] = await events.inTransaction(sql, [stepEntry(event, events.self)]);
      if (event.tag !== null) await anchorChange(sql, event.tag, receipt);
    },
    committed: () => events.committed(),
  };
}

/** A clock of the hour: times of two providers' entries, laid beside each other, do not pair what belongs together. */
export function hourClock(clock: Clock): Clock {
  return {
    ...clock,
    now: () => Math.floor(clock.now() / HOUR_MS) * HOUR_MS,
    monotonic: () => clock.monotonic(),
  };
}
