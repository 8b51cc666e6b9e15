/**
 * Events of the recovery service. A provider's entries name no backup and no session of an orchestrator: `change` is a pseudonym of
 * one state of one row, which no row and no other provider has, and times are those of the hour. So an entry shows that attempts
 * were counted and in which order, and leads nobody to a row or to another provider's log.
 */

import { type Optional, row } from "./event_row.ts";
import { PROVIDER_REASONS, SENDER_REASONS } from "./reasons.ts";

/** A step of a session that changes nothing that is stored. */
const STEP: Optional = { outcomes: ["done", "refused"], reasons: PROVIDER_REASONS };
/** A step that changes a backup. */
const CHANGE: Optional = { ...STEP, subject: ["change"] };
const WARNING = { severity: "warning" } as const;
/** What a session of the orchestrator does: intended before providers are asked, then its end. */
const SESSION: Optional = {
  subject: ["session"],
  outcomes: ["intended", "done", "failed"],
  reasons: ["error-code"],
};

/** Event name -> row. */
export const RECOVER_EVENTS = {
  "provider.opened": row("provider", [], "A provider's node has its database and its log."),
  "provider.stopped": row("provider", ["stopped", "stop-failed"], "A provider's node has ended."),
  "provider.session-opened": row("provider", [], "A device opened a session.", STEP),
  "provider.share-deposited": row("provider", [], "A share was stored; it is not in force yet.", CHANGE),
  "provider.backup-committed": row("provider", [], "A stored share is in force.", CHANGE),
  "provider.session-abandoned": row("provider", [], "What a session had begun was taken back.", CHANGE),
  "provider.restore-confirmed": row(
    "provider",
    [],
    "A backup was locked to the device that confirmed.",
    CHANGE,
  ),
  "provider.attempt-counted": row("provider", [], "An attempt was counted; it is judged behind this entry.", {
    ...CHANGE,
    ...WARNING,
  }),
  "provider.share-released": row("provider", [], "A share was released to a device, sealed.", {
    ...CHANGE,
    ...WARNING,
  }),
  "provider.deletion-asked": row("provider", [], "A device was asked to sign for a deletion.", STEP),
  "provider.share-deleted": row("provider", [], "A share was deleted by its owner.", {
    ...CHANGE,
    ...WARNING,
  }),
  "provider.gateway-refused": row(
    "provider",
    ["gateway.refused"],
    "Somebody who is no gateway reached a node.",
    {
      severity: "alarm",
      actor: ["address"],
      outcomes: ["refused"],
      reasons: SENDER_REASONS,
    },
  ),
  "provider.orchestrator-refused": row(
    "provider",
    ["orchestrator.refused"],
    "A gateway brought somebody who is no orchestrator.",
    { severity: "alarm", actor: ["gateway", "address"], outcomes: ["refused"], reasons: SENDER_REASONS },
  ),
  "provider.request-failed": row(
    "provider",
    ["request.failed", "request.failed-late"],
    "A node itself failed at a request.",
    { severity: "alarm", outcomes: ["failed"], reasons: ["error-code"] },
  ),
  "provider.care-failed": row(
    "provider",
    ["tls.reload-failed", "sessions.not-forgotten", "rows.not-rewritten", "key-set.not-fetched"],
    "Something that a node does by itself from time to time failed; it is tried again.",
    { severity: "warning", outcomes: ["failed"], reasons: ["error-code"] },
  ),

  "orchestrator.opened": row("orchestrator", [], "An orchestrator has its database and its log."),
  "orchestrator.stopped": row("orchestrator", ["stop-failed"], "An orchestrator has ended."),
  "orchestrator.backup": row("orchestrator", [], "A backup: all providers have it, or none.", SESSION),
  "orchestrator.restore": row("orchestrator", [], "A restore.", SESSION),
  "orchestrator.deletion": row("orchestrator", [], "A deletion: all providers delete, or none.", {
    ...SESSION,
    ...WARNING,
  }),
  "orchestrator.not-carried-through": row(
    "orchestrator",
    ["recover.not-carried-through"],
    "A provider does not do what it promised: people have to talk to it.",
    { severity: "alarm", outcomes: ["failed"], subject: ["session"], reasons: ["error-code"] },
  ),
  "orchestrator.request-refused": row(
    "orchestrator",
    ["gateway.refused", "companion.refused", "request.failed"],
    "Somebody was not believed, or a request was refused or failed.",
    { severity: "warning", outcomes: ["refused", "failed"], reasons: ["error-code"] },
  ),
  "orchestrator.failover": row(
    "orchestrator",
    ["provider.failover"],
    "A provider's address did not answer; another one of the same provider is asked.",
    { severity: "warning" },
  ),
  "orchestrator.care-failed": row(
    "orchestrator",
    ["tls.reload-failed"],
    "Something that an orchestrator does by itself from time to time failed; it is tried again.",
    { severity: "warning", outcomes: ["failed"], reasons: ["error-code"] },
  ),
} as const;

/** Lines of providers and orchestrator that are no entries of their own, and why. */
export const RECOVER_LINES_WITHOUT_EVENT: Readonly<Record<string, string>> = {
  "step.refused": "the step's own event has the reason",
  "recover.failed": "the session's own event has the code",
  "recover.provider-passed-over": "the session's own events go on without that provider",
  "recover.sweep-failed": "the session's own event comes when the sweep gets through",
  "sweep.failed": "nothing was changed; the next sweep follows",
  "node.frame": "a pipe of this provider's own; the request has no answer, and its node says so",
  "step.failed": "the vault writes no log; its node enters the request that failed",
  "form.refused": "the reference verifier keeps no log",
  "result.made": "the reference verifier keeps no log",
  "tls.reloaded":
    "only a certificate of ours and lists that their authority signed come this way; a failure has an event",
  "not-for-production": "told at the start by the processes that have no such event",
};
