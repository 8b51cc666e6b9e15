/**
 * The personalization of a card as a table: its steps in order, what each needs, which commands it sends, and how one
 * tells that it has happened. The engine (service/station/engine.ts) walks it; nothing else knows the order.
 *
 * Against the list in spec/card.md, section 7: the SSD is installed before the package is loaded, so that INSTALL [for load]
 * can name it as the package's domain, and the applet belongs to it without being moved. GPC 2.3.1, 7.2.
 */

import { CARD_LIFE_CYCLE } from "shared/protocol/gp/constants.ts";
import type { Profile } from "../profile.ts";
import { createKey, personalize, readBack, setAttested, setCertificate, testCard } from "./applet.ts";
import {
  associateApplet,
  installApplet,
  installsContent,
  installSsd,
  loadPackage,
  putSsdKeys,
  readContent,
} from "./content.ts";
import type { Exchanges } from "./exchange.ts";
import type { CardFacts } from "./facts.ts";
import { readCardLifeCycle, replaceIsdKeys, secureCard } from "./lock.ts";
import { APPLET_LIFE_CYCLE } from "./start.ts";

/**
 * What a step talks through.
 * - `isd`: SCP03 to the issuer domain with the transport keys.
 * - `owner`: SCP03 to the domain that the applet belongs to, by profile the issuer domain or the SSD.
 * - `applet`: SCP03 to the applet, level 33.
 * - `none`: no channel.
 */
export type StepChannel = "isd" | "owner" | "applet" | "none";

/** Steps that need more than the card: the engine has one action for each. */
export type StepAction = "reserve" | "attest" | "prove" | "confirm" | "close";

/** One step. */
export interface Step {
  readonly name: string;
  /** What the operator reads while it runs. */
  readonly words: string;
  readonly channel: StepChannel;
  /** Whether this profile has the step; absent: every profile. */
  readonly applies?: (profile: Profile) => boolean;
  /** Whether it has happened already, seen from the facts; absent: it is done at every presentation. */
  readonly happened?: (facts: CardFacts, profile: Profile) => boolean;
  /**
   * When the journal must be on disk. `before`: that it begins is known before its first command leaves, because the
   * card cannot be asked afterwards. `after`: its result is known before anything rests on it. Absent: the card can be asked,
   * or the attestation service, so the note may be written with the next.
   */
  readonly durable?: "before" | "after";
  /** Its result is waited for only by the step that says so: the card goes on being prepared meanwhile. */
  readonly background?: true;
  /** Needs the serial: waits for the background step, and for its result on disk. */
  readonly needsSerial?: true;
  /** Commands to the card. */
  readonly exchanges?: Exchanges;
  /** What the engine does instead. */
  readonly action?: StepAction;
}

const lifeCycle = (facts: CardFacts) => facts.applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
const certified = (facts: CardFacts) => lifeCycle(facts) >= APPLET_LIFE_CYCLE.PENDING_TESTS;
const attested = (facts: CardFacts) => lifeCycle(facts) >= APPLET_LIFE_CYCLE.ATTESTED;

/** The steps in order. */
export const STEPS: readonly Step[] = [
  {
    // A certified card has its reservation already: the journal knows it, or the engine has asked for it.
    name: "reserve",
    words: "reserving a serial number",
    channel: "none",
    happened: certified,
    background: true,
    action: "reserve",
  },
  {
    name: "read-content",
    words: "reading what is on the card",
    channel: "isd",
    applies: installsContent,
    happened: certified,
    exchanges: readContent,
  },
  {
    name: "install-ssd",
    words: "installing the security domain",
    channel: "isd",
    applies: ({ ssd }) => ssd === "install",
    happened: (facts) => certified(facts) || facts.content?.ssdInstalled === true,
    exchanges: installSsd,
  },
  {
    name: "load-package",
    words: "loading the applet",
    channel: "isd",
    applies: ({ applet }) => applet.state === "load",
    happened: (facts) => certified(facts) || facts.content?.packageLoaded === true,
    exchanges: loadPackage,
  },
  {
    name: "install-applet",
    words: "installing the applet",
    channel: "isd",
    applies: ({ applet }) => applet.state !== "instance",
    happened: (facts) => certified(facts) || facts.content?.appletInstalled === true,
    exchanges: installApplet,
  },
  {
    name: "associate-applet",
    words: "giving the applet to its domain",
    channel: "isd",
    applies: (profile) => installsContent(profile) && profile.personalizeThrough === "ssd",
    happened: (facts, { aids }) =>
      certified(facts) || facts.content?.appletDomain === undefined ||
      facts.content.appletDomain === aids.ssdInstance,
    exchanges: associateApplet,
  },
  {
    name: "put-ssd-keys",
    words: "writing the wallet channel keys",
    channel: "owner",
    applies: ({ ssd }) => ssd === "install",
    happened: (facts) => certified(facts) || facts.content?.ssdKeyed === true,
    exchanges: putSsdKeys,
  },
  {
    name: "personalize",
    words: "writing serial and keys",
    channel: "owner",
    happened: certified,
    needsSerial: true,
    exchanges: personalize,
  },
  {
    name: "read-back",
    words: "reading back",
    channel: "applet",
    happened: certified,
    exchanges: readBack,
  },
  {
    name: "create-key",
    words: "the card makes its key",
    channel: "applet",
    happened: certified,
    // Its answer is recorded, and on disk, before it is looked at: see `Exchange.record`.
    exchanges: createKey,
  },
  {
    name: "attest",
    words: "waiting for the certificate",
    channel: "none",
    happened: certified,
    action: "attest",
  },
  {
    name: "set-certificate",
    words: "writing the certificate",
    channel: "applet",
    happened: certified,
    exchanges: setCertificate,
  },
  {
    name: "test",
    words: "testing",
    channel: "applet",
    happened: attested,
    exchanges: testCard,
  },
  {
    name: "set-attested",
    words: "declaring it attested",
    channel: "applet",
    happened: attested,
    exchanges: setAttested,
  },
  {
    // The card does not check that the certificate is for its own key: only this proves it (spec/card.md, 5.1).
    name: "prove",
    words: "proving that it is genuine",
    channel: "applet",
    action: "prove",
  },
  {
    name: "read-card-life-cycle",
    words: "reading the card's state",
    channel: "isd",
    applies: ({ secure }) => secure.setSecured,
    happened: ({ isdKeysReplaced }) => isdKeysReplaced,
    exchanges: readCardLifeCycle,
  },
  {
    name: "secure-card",
    words: "locking the card",
    channel: "isd",
    applies: ({ secure }) => secure.setSecured,
    // Keys are replaced last of all, so replaced keys say that the card is secured.
    happened: (facts) => facts.isdKeysReplaced || facts.cardLifeCycle === CARD_LIFE_CYCLE.SECURED,
    exchanges: secureCard,
  },
  {
    name: "replace-isd-keys",
    words: "throwing the transport keys away",
    channel: "isd",
    applies: ({ secure }) => secure.replaceIsdKeys,
    happened: ({ isdKeysReplaced }) => isdKeysReplaced,
    durable: "before",
    exchanges: replaceIsdKeys,
  },
  {
    name: "confirm",
    words: "confirming",
    channel: "none",
    action: "confirm",
  },
  {
    name: "close",
    words: "closing its record",
    channel: "none",
    action: "close",
  },
];

/** Steps that a profile has. */
export function stepsOf(profile: Profile): readonly Step[] {
  return STEPS.filter((step) => step.applies?.(profile) ?? true);
}

/** The first step that a card still needs, for people who ask what comes next. */
export function nextStep(facts: CardFacts, profile: Profile): Step | undefined {
  return stepsOf(profile).find((step) => !(step.happened?.(facts, profile) ?? false));
}
