/**
 * Compares the service's records of a batch with what the line really has: journals of stations, and cards that people
 * counted. Every difference is named with its serial and what to do about it.
 */

import { type DifferenceCode, DIFFERENCES } from "./differences.ts";

/** A card as the service has it. */
export interface ServiceCard {
  /** 4 bytes of hex. */
  readonly serial: string;
  readonly state: "reserved" | "key-seen" | "attested" | "installed" | "good" | "scrapped" | "missing";
  readonly station: string;
  readonly certificateSha256: string | null;
}

/** A card as a station's journal has it. */
export interface JournalFact {
  /** Name of the journal, for people. */
  readonly journal: string;
  readonly serial: string;
  readonly state: "open" | "good" | "scrapped";
  readonly certificateSha256: string | null;
  readonly reader: string;
}

/** A card that was counted. */
export interface CountedCard {
  /** Where: the tray of good cards or the box of scrapped ones. */
  readonly place: "good" | "scrapped";
  readonly serial: string;
}

/** What is compared. */
export interface Reconciliation {
  /** In the order of their serials. */
  readonly service: readonly ServiceCard[];
  /** In the order in which each journal wrote them; empty when no journal is given. */
  readonly journals: readonly JournalFact[];
  /** Whether the journals are those of every station of the batch. */
  readonly journalsComplete: boolean;
  readonly counted: readonly CountedCard[];
  /** Places that were counted in full. */
  readonly places: readonly CountedCard["place"][];
}

/** One difference. */
export interface Difference {
  readonly code: DifferenceCode;
  readonly serial: string;
  /** For people. */
  readonly text: string;
  /** What to do. */
  readonly next: string;
}

const IN_FLIGHT: readonly ServiceCard["state"][] = ["reserved", "key-seen", "attested", "installed"];

/** Every difference, in the order of the serials. */
export function reconcile(facts: Reconciliation): Difference[] {
  const found: Difference[] = [];
  const tell = (code: DifferenceCode, serial: string, text: string) =>
    found.push({ code, serial, text, next: DIFFERENCES[code] });
  const service = new Map(facts.service.map((card) => [card.serial, card]));
  // The last word of each journal on a serial, for a card can go from station to station.
  const journals = new Map<string, JournalFact[]>();
  for (const fact of facts.journals) {
    const others = (journals.get(fact.serial) ?? []).filter(({ journal }) => journal !== fact.journal);
    journals.set(fact.serial, [...others, fact]);
  }
  const places = new Map<string, CountedCard["place"][]>();
  for (const { serial, place } of facts.counted) places.set(serial, [...(places.get(serial) ?? []), place]);

  for (const card of facts.service) {
    const told = journals.get(card.serial) ?? [];
    for (const fact of told) compareJournal(card, fact, tell);
    if (facts.journalsComplete && told.length === 0) {
      tell("NO_JOURNAL", card.serial, `${card.state} at ${card.station}, and no journal knows it`);
    }
    compareCount(card, places.get(card.serial) ?? [], facts.places, tell);
  }
  for (const [serial, told] of journals) {
    if (service.has(serial)) continue;
    for (const { journal, state } of told) {
      tell("SERVICE_LOST", serial, `${state} in ${journal}, unknown to the service`);
    }
  }
  for (const [serial, where] of places) {
    if (!service.has(serial)) {
      tell("COUNTED_STRANGE", serial, `counted in ${where.join(" and ")}, not of this batch`);
    }
  }
  return found.sort((a, b) => a.serial < b.serial ? -1 : a.serial > b.serial ? 1 : 0);
}

type Tell = (code: DifferenceCode, serial: string, text: string) => void;

function compareJournal(card: ServiceCard, fact: JournalFact, tell: Tell): void {
  const { serial, state } = card;
  const where = `${fact.state} in ${fact.journal} (reader ${fact.reader})`;
  if (state === "missing") {
    if (fact.state !== "open") tell("MISSING_ENDED", serial, `declared missing, and ${where}`);
    return;
  }
  if (fact.state === "open") {
    // A card that went on at another station stays open in the first one's journal.
    if (IN_FLIGHT.includes(state)) tell("IN_FLIGHT", serial, `${state} at ${card.station}, ${where}`);
    return;
  }
  if (IN_FLIGHT.includes(state)) {
    tell("NOT_TOLD", serial, `${where}; the service has it as ${state}`);
  } else if (fact.state !== state) {
    tell("OUTCOME_DIFFERS", serial, `${where}; the service has it as ${state}`);
  } else if (state === "good" && fact.certificateSha256 !== card.certificateSha256) {
    tell("CERTIFICATE_DIFFERS", serial, `${where}, with another certificate than the service's`);
  }
}

function compareCount(
  card: ServiceCard,
  where: readonly CountedCard["place"][],
  counted: readonly CountedCard["place"][],
  tell: Tell,
): void {
  const { serial, state } = card;
  if (where.length > 1) tell("COUNTED_TWICE", serial, `counted ${where.length} times: ${where.join(", ")}`);
  for (const place of new Set(where)) {
    if (place === state) continue;
    if (state === "missing") tell("MISSING_FOUND", serial, `declared missing, and counted as ${place}`);
    else if (place === "good") tell("COUNTED_NOT_GOOD", serial, `in the tray of good cards, and ${state}`);
    else tell("COUNTED_NOT_SCRAPPED", serial, `in the box of scrapped cards, and ${state}`);
  }
  if (where.length > 0) return;
  if (state === "good" && counted.includes("good")) {
    tell("GOOD_NOT_COUNTED", serial, "good, and not in the tray");
  }
  if (state === "scrapped" && counted.includes("scrapped")) {
    tell("SCRAPPED_NOT_COUNTED", serial, "scrapped, and not in the box");
  }
}
