/**
 * The personalization of a card as a table: its steps in order, what each needs and which commands it sends. How one tells
 * that a step has happened, and what to do after a tear, is its row in resumption.ts. The engine (service/station/engine.ts)
 * walks both; nothing else knows the order.
 *
 * Against the list in spec/card.md, section 7: the SSD is installed before the package is loaded, so that INSTALL [for load]
 * can name it as the package's domain, and the applet belongs to it without being moved. GPC 2.3.1, 7.2.
 */

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
import { RESUMPTION, type StepName } from "./resumption.ts";

/**
 * What a step talks through.
 * - `isd`: SCP03 to the issuer domain with the transport keys.
 * - `owner`: SCP03 to the domain that the applet belongs to, by profile the issuer domain or the SSD.
 * - `applet`: SCP03 to the applet, level 33.
 * - `none`: no channel.
 */
export type StepChannel = "isd" | "owner" | "applet" | "none";

/** Steps that need more than the card: the engine has one action for each. */
export type StepAction = "reserve" | "attest" | "report" | "prove" | "confirm" | "close";

/** One step. */
export interface Step {
  readonly name: StepName;
  /** What the operator reads while it runs. */
  readonly words: string;
  readonly channel: StepChannel;
  /** Whether this profile has the step; absent: every profile. */
  readonly applies?: (profile: Profile) => boolean;
  /**
   * The card goes on meanwhile. `wait`: the step that needs the serial waits for the result. `forget`: nothing does, and
   * its failure is none of the card's.
   */
  readonly background?: "wait" | "forget";
  /** Needs the serial: waits for the background step, and for its result on disk. */
  readonly needsSerial?: true;
  /** Commands to the card. */
  readonly exchanges?: Exchanges;
  /** What the engine does instead. */
  readonly action?: StepAction;
}

/** The steps in order. */
export const STEPS: readonly Step[] = [
  {
    name: "reserve",
    words: "reserving a serial number",
    channel: "none",
    background: "wait",
    action: "reserve",
  },
  {
    name: "read-content",
    words: "reading what is on the card",
    channel: "isd",
    applies: installsContent,
    exchanges: readContent,
  },
  {
    name: "install-ssd",
    words: "installing the security domain",
    channel: "isd",
    applies: ({ ssd }) => ssd === "install",
    exchanges: installSsd,
  },
  {
    name: "load-package",
    words: "loading the applet",
    channel: "isd",
    applies: ({ applet }) => applet.state === "load",
    exchanges: loadPackage,
  },
  {
    name: "install-applet",
    words: "installing the applet",
    channel: "isd",
    applies: ({ applet }) => applet.state !== "instance",
    exchanges: installApplet,
  },
  {
    name: "associate-applet",
    words: "giving the applet to its domain",
    channel: "isd",
    applies: (profile) => installsContent(profile) && profile.personalizeThrough === "ssd",
    exchanges: associateApplet,
  },
  {
    name: "put-ssd-keys",
    words: "writing the wallet channel keys",
    channel: "owner",
    applies: ({ ssd }) => ssd === "install",
    exchanges: putSsdKeys,
  },
  {
    name: "personalize",
    words: "writing serial and keys",
    channel: "owner",
    needsSerial: true,
    exchanges: personalize,
  },
  {
    name: "read-back",
    words: "reading back",
    channel: "applet",
    exchanges: readBack,
  },
  {
    name: "create-key",
    words: "the card makes its key",
    channel: "applet",
    exchanges: createKey,
  },
  {
    name: "attest",
    words: "waiting for the certificate",
    channel: "none",
    action: "attest",
  },
  {
    name: "set-certificate",
    words: "writing the certificate",
    channel: "applet",
    exchanges: setCertificate,
  },
  {
    name: "report-certificate",
    words: "reporting the certificate",
    channel: "none",
    background: "forget",
    action: "report",
  },
  {
    name: "test",
    words: "testing",
    channel: "applet",
    exchanges: testCard,
  },
  {
    name: "set-attested",
    words: "declaring it attested",
    channel: "applet",
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
    exchanges: readCardLifeCycle,
  },
  {
    name: "secure-card",
    words: "locking the card",
    channel: "isd",
    applies: ({ secure }) => secure.setSecured,
    exchanges: secureCard,
  },
  {
    name: "replace-isd-keys",
    words: "throwing the transport keys away",
    channel: "isd",
    applies: ({ secure }) => secure.replaceIsdKeys,
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
  return stepsOf(profile).find((step) => step.background !== "forget" && !happened(step, facts, profile));
}

/** Whether a step has happened already on this card; false for those that are done at every presentation. */
export function happened(step: Step, facts: CardFacts, profile: Profile): boolean {
  return RESUMPTION[step.name].happened?.(facts, profile) ?? false;
}
