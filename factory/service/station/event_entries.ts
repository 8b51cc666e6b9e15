/** What a station tells its surroundings, as entries of its tamper-evident log. */

import { errorTable } from "shared/base/errors.ts";
import type { EventName } from "shared/log/events.ts";
import type { Identified } from "shared/log/recorder.ts";
import type { EventEntry, EventLog } from "shared/log/writer/event_log.ts";
import type { CardReport, EventSink, StationEvent } from "./events.ts";

/** The person who works at the station. */
export function operatorOf(name: string): Identified {
  return { kind: "operator", identifier: name };
}

const OUTCOMES = { attested: "done", scrapped: "failed", refused: "refused", failed: "failed" } as const;

/** How a card ended: entered before anybody is told. */
export function cardEntry(card: CardReport, operator: string): EventEntry {
  const subject: Identified | undefined = card.serial !== null
    ? { kind: "card", identifier: card.serial }
    : card.cplc
    ? { kind: "chip", identifier: card.cplc }
    : undefined;
  return {
    event: "station.card",
    facts: {
      actor: operatorOf(operator),
      ...(subject === undefined ? {} : { subject }),
      outcome: OUTCOMES[card.outcome],
      ...reasonOf(card.reason),
    },
  };
}

/** A sink that enters what goes by. What has an effect is entered by whoever brings it about, before it. */
export function enteredSink(events: EventLog, sink: EventSink): EventSink {
  return (event) => {
    for (const { event: name, facts } of entriesOf(event, events.self)) events.tell(name, facts);
    sink(event);
  };
}

function entriesOf(event: StationEvent, actor: Identified): EventEntry[] {
  const one = (name: EventName, facts: Omit<EventEntry["facts"], "actor"> = {}): EventEntry[] => [
    { event: name, facts: { actor, ...facts } },
  ];
  switch (event.event) {
    case "unfinished":
      return event.cards.flatMap(({ serial }) =>
        one("station.unfinished", {
          ...(serial === null ? {} : { subject: { kind: "card", identifier: serial } as const }),
          outcome: "failed",
        })
      );
    case "package":
      return one("station.package", { subject: { kind: "package", identifier: event.package.capSha256 } });
    case "stopped":
      return one("station.stopped", reasonOf(event.code));
    case "service-lost":
      return one("station.service-lost", { outcome: "failed" });
    case "service-restored":
      return one("station.service-restored");
    case "failover":
      return one("station.failover", { subject: { kind: "gateway", identifier: event.gateway } });
    case "warning":
      return one("station.warning", reasonOf(event.code));
    default:
      return [];
  }
}

/** A reason that an entry may have; what is no code of ours stays out. */
function reasonOf(code: string | null): { reason?: string } {
  return code !== null && errorTable().has(code) ? { reason: code } : {};
}
