/**
 * The events of the log: one table of every name, who writes it, about what, how it can end and with which reasons. An entry that
 * is not in the table is not written, and a verifier reports one that was. docs/log.md shows this table; `line` says which log
 * line or screen event of the process tells of the same, so that a test sees when a process learns to say something new.
 */

import {
  CONNECTION_REASONS,
  DEMONSTRATION_REASONS,
  ENROLMENT_REASONS,
  REQUEST_REASONS,
  SENDER_REASONS,
} from "./reasons.ts";
import { type EventRow, type Optional, row } from "./event_row.ts";
import { RECOVER_EVENTS } from "./recover_events.ts";

export {
  ERROR_CODE,
  type EventRow,
  type EventSeverity,
  type EventWriter,
  type Outcome,
  OUTCOMES,
  PSEUDONYM_KINDS,
  type PseudonymKind,
} from "./event_row.ts";

/** An act at a sender's request that has an effect: intended first, then done or failed; or refused. */
const EFFECT: Optional = {
  actor: ["sender"],
  outcomes: ["intended", "done", "refused", "failed"],
  reasons: ["error-code"],
};

/** Event name -> row. Names are stable: rules and readers are built on them. */
export const EVENTS = {
  "gateway.canaries-proven": row(
    "gateway",
    ["canaries-proven"],
    "Before serving, the gateway proved that it refuses certificates that it must refuse.",
  ),
  "gateway.freshness-proven": row(
    "gateway",
    ["freshness-proven"],
    "Before serving, the gateway proved of each authority what its rule of freshness says.",
  ),
  "gateway.revocation-refreshed": row(
    "gateway",
    ["revocation-refreshed"],
    "Newer revocation lists count, also for connections that are open.",
  ),
  "gateway.revocation-not-fresh": row(
    "gateway",
    ["revocation-not-fresh"],
    "An authority has no fresh revocation list; its rule says whether its clients are refused.",
    { severity: "warning" },
  ),
  "gateway.revocation-source-failed": row(
    "gateway",
    ["revocation-source", "revocation-refresh", "list-refresh"],
    "A source of revocation lists gave nothing good; what was held stays.",
    { severity: "warning", outcomes: ["failed"] },
  ),
  "gateway.list-published": row(
    "gateway",
    ["list-published"],
    "The enrolment publishes a new revocation list of what it issued.",
  ),
  "gateway.certificate-issued": row(
    "gateway",
    ["certificate-issued"],
    "The enrolment issued a client's certificate, or gave it again.",
    { actor: ["client"], subject: ["client"] },
  ),
  "gateway.enrolment-refused": row(
    "gateway",
    ["enrolment-request"],
    "The enrolment refused a certificate.",
    { severity: "warning", actor: ["client"], outcomes: ["refused"], reasons: ENROLMENT_REASONS },
  ),
  "gateway.enrolment-fault": row(
    "gateway",
    ["enrolment-fault"],
    "The enrolment itself failed at a request.",
    {
      severity: "alarm",
      outcomes: ["failed"],
      reasons: ["error-code"],
    },
  ),
  "gateway.serving": row("gateway", ["serving"], "The gateway accepts connections."),
  "gateway.reloaded": row(
    "gateway",
    ["reloaded"],
    "Routes, certificates or revocation lists were exchanged.",
  ),
  "gateway.reload-refused": row(
    "gateway",
    ["reload-refused"],
    "A new configuration was not taken; the old one stays.",
    { severity: "warning", outcomes: ["refused"], reasons: ["error-code"] },
  ),
  "gateway.connection-refused": row(
    "gateway",
    ["connection-refused"],
    "A connection was closed before any request.",
    {
      severity: "warning",
      actor: ["address", "client"],
      outcomes: ["refused"],
      reasons: CONNECTION_REASONS,
    },
  ),
  "gateway.request-refused": row("gateway", ["request"], "A request of a known client was refused.", {
    severity: "warning",
    actor: ["client", "address"],
    subject: ["route"],
    outcomes: ["refused"],
    reasons: [...REQUEST_REASONS, ...SENDER_REASONS],
  }),
  "gateway.verification-fault": row(
    "gateway",
    ["verification-fault"],
    "The check of a certificate failed by itself; the client was refused.",
    { severity: "alarm", outcomes: ["failed"], reasons: ["error-code"] },
  ),
  "gateway.request-fault": row("gateway", ["request-fault"], "The gateway itself failed at a request.", {
    severity: "alarm",
    outcomes: ["failed"],
    reasons: ["error-code"],
  }),
  "gateway.upstream-up": row("gateway", ["upstream-health"], "An instance behind the gateway answers.", {
    subject: ["instance"],
  }),
  "gateway.upstream-down": row(
    "gateway",
    ["upstream-health"],
    "An instance behind the gateway does not answer, or says that it is not ready.",
    { severity: "warning", subject: ["instance"], outcomes: ["failed"] },
  ),
  "gateway.breaker-open": row(
    "gateway",
    ["upstream-breaker"],
    "Requests are kept from an instance that failed at too many of them.",
    { severity: "warning", subject: ["instance"], outcomes: ["failed"] },
  ),
  "gateway.breaker-closed": row(
    "gateway",
    ["upstream-breaker"],
    "An instance gets requests again: one that tried it went well.",
    { subject: ["instance"] },
  ),
  "gateway.address-banned": row(
    "gateway",
    ["address-banned"],
    "An address earned a temporary ban by what it did before.",
    { severity: "warning", subject: ["address"] },
  ),
  "gateway.limit-store-up": row("gateway", ["limit-store"], "The shared store of limits answers."),
  "gateway.limit-store-down": row(
    "gateway",
    ["limit-store"],
    "The shared store of limits does not answer; each limit says what counts meanwhile.",
    { severity: "warning", outcomes: ["failed"] },
  ),
  "gateway.outbound-alarm": row(
    "gateway",
    ["outbound-alarm"],
    "More bytes left through a route or to an instance than is usual, or than is allowed at all; done: it is over.",
    { severity: "alarm", subject: ["route", "instance"], outcomes: ["failed", "done"] },
  ),
  "gateway.upgraded": row(
    "gateway",
    ["upgraded"],
    "The process took the place of another on the same sockets.",
  ),
  "gateway.rolled-back": row(
    "gateway",
    ["rolled-back"],
    "An earlier configuration was restored, by the process that serves or by one that took its place.",
  ),
  "gateway.log-released": row(
    "gateway",
    ["log-released"],
    "The process let its log go to the one that takes its place; what it still refuses while it drains is in its access log.",
  ),
  "gateway.draining": row("gateway", ["draining"], "The gateway takes no new connection and ends."),
  "gateway.drained": row("gateway", ["drained"], "The gateway has ended; failed: requests were cut off.", {
    outcomes: ["done", "failed"],
  }),

  "attestation.opened": row("attestation", ["database.open"], "The attestation service has its database."),
  "attestation.for-demonstration": row(
    "attestation",
    ["not-for-production"],
    "The service runs with something that is not for production.",
    { severity: "warning", reasons: DEMONSTRATION_REASONS },
  ),
  "attestation.draining": row("attestation", ["draining"], "The service takes no new request and ends."),
  "attestation.stopped": row("attestation", ["stopped", "stop-failed"], "The service has ended.", {
    outcomes: ["done", "failed"],
    reasons: ["error-code"],
  }),
  "attestation.tls-reloaded": row(
    "attestation",
    ["tls.reloaded", "tls.reload-failed"],
    "Certificates or revocation lists were exchanged; failed: the old ones stay.",
    { outcomes: ["done", "failed"], reasons: ["error-code"] },
  ),
  "attestation.nonces-kept": row(
    "attestation",
    ["nonces.not-forgotten"],
    "Old nonces could not be deleted; replays stay refused.",
    { severity: "warning", outcomes: ["failed"], reasons: ["error-code"] },
  ),
  "attestation.senders-reloaded": row(
    "attestation",
    ["senders.reloaded", "senders.not-reloaded"],
    "Senders and their keys were exchanged; failed: the old ones stay.",
    { outcomes: ["done", "failed"], reasons: ["error-code"] },
  ),
  "attestation.reload-partial": row(
    "attestation",
    ["reload.needs-restart"],
    "A part of the new configuration waits for a restart.",
    { severity: "warning" },
  ),
  "attestation.revocations-published": row(
    "attestation",
    ["revocations.published"],
    "A new list of revoked card certificates was signed.",
  ),
  "attestation.revocations-kept": row(
    "attestation",
    ["revocations.not-renewed"],
    "The list of revoked card certificates could not be renewed; the last one serves as long as it holds.",
    { severity: "warning", outcomes: ["failed"], reasons: ["error-code"] },
  ),
  "attestation.gateway-refused": row(
    "attestation",
    ["gateway.refused"],
    "Somebody who is no gateway of ours reached the service.",
    {
      severity: "alarm",
      actor: ["address", "gateway"],
      outcomes: ["refused"],
      reasons: SENDER_REASONS,
    },
  ),
  "attestation.sender-refused": row(
    "attestation",
    ["sender.refused"],
    "Certificate or signature of a request is not that of a configured sender.",
    {
      severity: "alarm",
      actor: ["sender", "gateway"],
      outcomes: ["refused"],
      reasons: [...SENDER_REASONS, "error-code"],
    },
  ),
  "attestation.request-refused": row("attestation", ["request.refused"], "A request was refused.", {
    severity: "warning",
    actor: ["sender", "gateway"],
    subject: ["route"],
    outcomes: ["refused"],
    reasons: ["error-code"],
  }),
  "attestation.request-failed": row(
    "attestation",
    ["request.failed", "request.failed-late"],
    "The service itself failed at a request.",
    {
      severity: "alarm",
      actor: ["sender", "gateway", "process"],
      subject: ["route"],
      outcomes: ["failed"],
      reasons: ["error-code"],
    },
  ),
  "attestation.request-repeated": row(
    "attestation",
    ["request.repeated"],
    "A request that was answered before got the same answer again.",
    { actor: ["sender"] },
  ),
  "attestation.batch-created": row("attestation", ["batch.created"], "A batch with its serials was made.", {
    ...EFFECT,
    subject: ["batch"],
  }),
  "attestation.batch-opened": row("attestation", ["batch.opened"], "A batch that was held goes on.", {
    ...EFFECT,
    subject: ["batch"],
  }),
  "attestation.batch-stopped": row(
    "attestation",
    ["batch.stopped"],
    "A batch is held, because too many of its cards failed.",
    { severity: "warning", actor: ["sender"], subject: ["batch"], reasons: ["error-code"] },
  ),
  "attestation.batch-not-judged": row(
    "attestation",
    ["batch.not-judged"],
    "A batch could not be judged after a card of it failed; the next one makes up for it.",
    {
      severity: "warning",
      actor: ["sender"],
      subject: ["batch"],
      outcomes: ["failed"],
      reasons: ["error-code"],
    },
  ),
  "attestation.cards-missing": row(
    "attestation",
    ["batch.cards-missing"],
    "Cards of a batch that is being closed were declared missing; `count` says how many.",
    { ...EFFECT, subject: ["batch"] },
  ),
  "attestation.batch-closed": row(
    "attestation",
    ["batch.closed"],
    "A batch is closed, and its records are signed.",
    { ...EFFECT, subject: ["batch"] },
  ),
  "attestation.keys-released": row(
    "attestation",
    ["card.keys-released"],
    "Transport keys of one chip were derived and sealed for a station.",
    { ...EFFECT, subject: ["chip"] },
  ),
  "attestation.card-reserved": row(
    "attestation",
    ["card.reserved"],
    "A card has its serial and its personalization key.",
    { ...EFFECT, subject: ["card"] },
  ),
  "attestation.card-attested": row(
    "attestation",
    ["card.key-seen", "card.attested"],
    "The issuer's key has signed a card's certificate; intended: a card's key is checked, and will be signed.",
    { ...EFFECT, subject: ["card"] },
  ),
  "attestation.card-attested-again": row(
    "attestation",
    ["card.attestation-repeated"],
    "A certificate that exists was given out again; nothing was signed.",
    { ...EFFECT, subject: ["card"] },
  ),
  "attestation.card-installed": row(
    "attestation",
    ["card.installed"],
    "A card holds its certificate.",
    { ...EFFECT, subject: ["card"] },
  ),
  "attestation.card-closed": row(
    "attestation",
    ["card.closed"],
    "A card's record is closed: good or scrapped.",
    {
      ...EFFECT,
      subject: ["card"],
    },
  ),
  "attestation.host-certified": row(
    "attestation",
    ["host.certified"],
    "The issuer's key has signed a certificate of a factory test wallet.",
    { ...EFFECT, severity: "warning", subject: ["host"] },
  ),

  "station.ready": row("station", ["ready"], "A station works on a batch.", {
    actor: ["operator", "process"],
    subject: ["batch"],
  }),
  "station.unfinished": row(
    "station",
    ["unfinished"],
    "A card that the station began before is not finished.",
    { severity: "warning", actor: ["process"], subject: ["card", "batch"], outcomes: ["failed"] },
  ),
  "station.package": row("station", ["package"], "The package that the station loads on cards.", {
    subject: ["package"],
  }),
  "station.card": row(
    "station",
    ["card"],
    "A card was presented: intended before it is changed, done when it is attested.",
    {
      actor: ["operator", "process"],
      subject: ["card", "chip"],
      outcomes: ["intended", "done", "refused", "failed"],
      reasons: ["error-code"],
    },
  ),
  "station.stopped": row("station", ["stopped"], "No card is begun until a person says so.", {
    severity: "warning",
    actor: ["process"],
    reasons: ["error-code"],
  }),
  "station.resumed": row("station", ["resumed"], "A person said that stopped work goes on.", {
    severity: "warning",
    actor: ["operator"],
  }),
  "station.service-lost": row(
    "station",
    ["service-lost"],
    "The station cannot reach the attestation service.",
    {
      severity: "warning",
      outcomes: ["failed"],
    },
  ),
  "station.service-restored": row("station", ["service-restored"], "The station reaches the service again."),
  "station.failover": row("station", ["failover"], "The station went over to another gateway.", {
    severity: "warning",
    subject: ["gateway"],
  }),
  "station.warning": row("station", ["warning"], "Something is not as it should be in production.", {
    severity: "warning",
    reasons: ["error-code"],
  }),

  ...RECOVER_EVENTS,
  "update.opened": row("update", [], "The update service serves."),
  "update.for-demonstration": row(
    "update",
    [],
    "The update service runs on a component that is not for production.",
    { severity: "warning", reasons: DEMONSTRATION_REASONS },
  ),
  "update.authorized": row(
    "update",
    [],
    "A card proved itself to the vault, or goes on with its update: the commands leave after this entry.",
    { actor: ["client"], subject: ["card"], outcomes: ["intended"] },
  ),
  "update.ended": row("update", [], "A card says that its update has ended.", {
    actor: ["client"],
    reasons: ["updated", "recovered", "nothing"],
  }),
  "update.refused": row(
    "update",
    ["update.failed", "vault.failed"],
    "A request for an update was refused, or failed.",
    {
      severity: "warning",
      actor: ["client"],
      outcomes: ["refused", "failed"],
      reasons: ["error-code"],
    },
  ),

  "log.opened": row("log", [], "A process became the one that orders this log's entries."),
  "log.attachment-forgotten": row(
    "log",
    [],
    "The key of an attachment was deleted: its content is gone, the tree stays.",
    { actor: ["operator", "process"], outcomes: ["done", "failed"], reasons: ["error-code"] },
  ),
  "witness.refused": row("witness", [], "A witness did not cosign a checkpoint.", {
    severity: "warning",
    subject: ["log"],
    outcomes: ["refused"],
    reasons: ["error-code"],
  }),
  "witness.inconsistent": row("witness", [], "A witness holds two checkpoints that cannot both be true.", {
    severity: "alarm",
    subject: ["log"],
    outcomes: ["refused"],
    reasons: ["error-code"],
  }),
} as const satisfies Record<string, EventRow>;

/** Name of an event. */
export type EventName = keyof typeof EVENTS;

/** Every name, in the table's order. */
export const EVENT_NAMES: readonly EventName[] = Object.keys(EVENTS) as EventName[];

/** The row of an event. */
export function eventRow(name: EventName): EventRow {
  return EVENTS[name];
}

/**
 * Log lines and screen events that are no entries of their own, and why.
 */
export const LINES_WITHOUT_EVENT: Readonly<Record<string, string>> = {
  "reader-added": "equipment of the station; no decision",
  "reader-removed": "equipment of the station; no decision",
  "card-inserted": "the card's outcome is the event",
  "card-removed": "the card's outcome is the event",
  "step": "the card's outcome is the event",
  "waiting": "the card's outcome is the event",
};
