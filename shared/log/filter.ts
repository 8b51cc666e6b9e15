/** Which entries somebody asks for. */

import { type EventName, eventRow } from "./events.ts";
import type { Leaf } from "./leaf.ts";

/** Conditions; an entry fulfils all that are given. */
export interface LeafFilter {
  /** Event names, or their beginnings up to a dot: `gateway` is every event of gateways. */
  readonly events?: readonly string[];
  /** Written at this time or later, `2026-11-21T14:29:09.123Z`. */
  readonly since?: string;
  /** Pseudonyms. */
  readonly actor?: string;
  readonly subject?: string;
  readonly ticket?: string;
  /** Outcome, as the table of events spells it. */
  readonly outcome?: string;
  /** At least this severity. */
  readonly severity?: "info" | "warning" | "alarm";
}

const SEVERITIES = ["info", "warning", "alarm"] as const;

/** Whether an entry is asked for. */
export function matches(leaf: Leaf, filter: LeafFilter): boolean {
  const { events, since, actor, subject, ticket, outcome, severity } = filter;
  return (events === undefined || events.some((name) => isEvent(leaf.event, name))) &&
    (since === undefined || leaf.time >= since) &&
    (actor === undefined || leaf.actor === actor) &&
    (subject === undefined || leaf.subject === subject) &&
    (ticket === undefined || leaf.ticket === ticket) &&
    (outcome === undefined || leaf.outcome === outcome) &&
    (severity === undefined ||
      SEVERITIES.indexOf(eventRow(leaf.event).severity) >= SEVERITIES.indexOf(severity));
}

function isEvent(event: EventName, name: string): boolean {
  return event === name || event.startsWith(`${name}.`);
}
