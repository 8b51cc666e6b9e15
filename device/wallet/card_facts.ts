/** What a wallet shows of a card at every tap, and whether two taps saw the same one. */

import type { LifeCycle } from "shared/protocol/recovery_key/constants.ts";

/** A card as it was at one tap; all of it was said by an authenticated card. */
export interface CardFacts {
  /** 4 bytes of hex. */
  readonly serial: string;
  /** Printable; null: it has none, or it is empty and cannot have one. */
  readonly name: string | null;
  /** `MAJOR.MINOR.PATCH` of the applet. */
  readonly version: string;
  /** 2 empty, 3 in use. */
  readonly lifeCycle: LifeCycle;
  /** 0 to 3; null when it has no PIN. */
  readonly pinTriesLeft: number | null;
  /** SHA-256 (hex) of its certificate. */
  readonly certificateSha256: string;
}

/** What differs between two taps that must see one unchanged card; undefined: nothing does. */
export function differenceOf(first: CardFacts, second: CardFacts): keyof CardFacts | undefined {
  const fields: (keyof CardFacts)[] = [
    "serial",
    "certificateSha256",
    "version",
    "lifeCycle",
    "name",
    "pinTriesLeft",
  ];
  return fields.find((field) => first[field] !== second[field]);
}

/** The identifier that people compare: name and serial. */
export function identifierOf(card: CardFacts): string {
  return card.name === null ? card.serial : `"${card.name}" (${card.serial})`;
}
