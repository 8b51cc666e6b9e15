/** May work on this card begin or go on? Decided from what the card says without authentication, and from the journal. */

import { toHex } from "shared/base/bytes.ts";
import type { Profile } from "../profile.ts";
import type { CardFacts } from "./facts.ts";
import "./errors.ts";

/** Life cycles of the applet; spec/card.md, section 3. */
export const APPLET_LIFE_CYCLE = {
  FABRICATION: 0,
  PENDING_TESTS: 1,
  ATTESTED: 2,
  USER_PERSONALIZED: 3,
} as const;

/** What the journal knows of the card. */
export interface KnownCard {
  readonly state: "open" | "good" | "scrapped";
  /** 4 bytes of hex. */
  readonly serial: string | null;
  readonly reservation: string | null;
  /** Whether the attestation service knows the outcome. */
  readonly closed: boolean;
  /** Authentications in a row that were begun and brought no answer. */
  readonly attempts: number;
  /** Highest life cycle that the applet has reported. */
  readonly lifeCycle: number;
}

/** Authentications without an answer after which a human decides: cards count failed ones, and some lock at ten. */
export const LOST_AUTHENTICATIONS_MAX = 5;

/** What the decision rests on. */
export interface StartRecord {
  readonly profile: Profile;
  readonly facts: Pick<CardFacts, "applet" | "isdKeysReplaced">;
  /** The last work on this chip (with the applet's serial, when it has one and a certificate). */
  readonly known: KnownCard | undefined;
  /** The failure that blocks this chip. */
  readonly blocked: string | undefined;
  /** Serial range of the batch, 4 bytes of hex each. */
  readonly firstSerial: string;
  readonly lastSerial: string;
}

/**
 * - `begin`: the whole sequence; steps that have happened are passed over.
 * - `continue`: the card has its certificate; the journal has its reservation.
 * - `ask`: the card has a serial of this batch and the journal does not know it (it was begun at another station).
 * - `report`: work is finished, only the attestation service has to be told.
 */
export type StartDecision =
  | { readonly kind: "begin" | "continue" | "ask" | "report" }
  | { readonly kind: "refuse"; readonly code: string; readonly message: string };

function refuse(code: string, state: string): StartDecision {
  return { kind: "refuse", code, message: `Cannot personalize card: ${state}` };
}

/** Decides; see `StartDecision`. */
export function decideStart(record: StartRecord): StartDecision {
  const { profile, facts, known, blocked } = record;
  if (blocked !== undefined) {
    return refuse("CARD_AUTHENTICATION_BLOCKED", `keys were refused on it before (${blocked})`);
  }
  if (!profile.anonymousChips && (known?.attempts ?? 0) >= LOST_AUTHENTICATIONS_MAX) {
    return refuse(
      "CARD_AUTHENTICATION_BLOCKED",
      `it was taken off during ${known!.attempts} authentications in a row`,
    );
  }
  const { applet } = facts;
  const lifeCycle = applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
  if (lifeCycle === APPLET_LIFE_CYCLE.USER_PERSONALIZED) return refuse("CARD_IN_USE", "it holds a seed");
  if (lifeCycle > APPLET_LIFE_CYCLE.USER_PERSONALIZED) {
    return refuse("CARD_STATE", `its applet reports life cycle ${lifeCycle}`);
  }
  if (applet === undefined && profile.applet.state === "instance") {
    return refuse("CARD_APPLET_MISSING", "the applet is not on it");
  }
  if (applet !== undefined && toHex(applet.targetId) !== profile.targetId) {
    return refuse(
      "CARD_TARGET",
      `its applet is for target ${toHex(applet.targetId)}, not ${profile.targetId}`,
    );
  }

  if (lifeCycle === APPLET_LIFE_CYCLE.FABRICATION) {
    if (facts.isdKeysReplaced) {
      return refuse("CARD_STATE", "its ISD keys are thrown away and it has no certificate");
    }
    // Cards that cannot be told apart: what the journal knows may be another card's story.
    if (profile.anonymousChips || known === undefined) return { kind: "begin" };
    if (known.state === "scrapped") return refuse("CARD_SCRAPPED", "it was scrapped");
    // An applet never goes back to life cycle 0: another chip says that it is this one.
    if (known.state === "good" || known.lifeCycle > APPLET_LIFE_CYCLE.FABRICATION) {
      return refuse(
        "CARD_DUPLICATE",
        `a card with the same chip has serial ${known.serial} already, and it is blank`,
      );
    }
    return { kind: "begin" };
  }

  const serial = toHex(applet!.serial);
  if (known !== undefined && known.serial === serial) {
    if (known.state === "scrapped") return refuse("CARD_SCRAPPED", `it was scrapped (serial ${serial})`);
    if (known.state === "good") {
      if (lifeCycle < APPLET_LIFE_CYCLE.ATTESTED) {
        return refuse("CARD_DUPLICATE", `serial ${serial} is finished, and this card is not`);
      }
      return known.closed
        ? refuse("CARD_ALREADY_ATTESTED", `it is attested (serial ${serial})`)
        : { kind: "report" };
    }
    return { kind: "continue" };
  }
  const ofBatch = serial >= record.firstSerial && serial <= record.lastSerial;
  if (ofBatch && !profile.anonymousChips) return { kind: "ask" };
  return lifeCycle === APPLET_LIFE_CYCLE.ATTESTED
    ? refuse("CARD_ALREADY_ATTESTED", `it is attested (serial ${serial}), not by this station for this batch`)
    : refuse("CARD_STATE", `it has a certificate (serial ${serial}) that this station knows nothing of`);
}
