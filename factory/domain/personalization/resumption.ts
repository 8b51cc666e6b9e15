/**
 * How a card goes on after it was pulled, the station killed, or the card carried to another station: one row for each
 * step of the sequence. The engine walks the steps by these rows (`happened`, `durable`, `scrap`); docs/resumption.md
 * prints them. What the card says always wins over what the journal says: a journal may be another station's.
 */

import { CARD_LIFE_CYCLE } from "shared/protocol/gp/constants.ts";
import type { Profile } from "../profile.ts";
import type { CardFacts } from "./facts.ts";
import { APPLET_LIFE_CYCLE } from "./start.ts";

/** Steps of the sequence, and the two phases before the first one. */
export const STEP_NAMES = [
  "look",
  "authenticate",
  "reserve",
  "read-content",
  "install-ssd",
  "load-package",
  "install-applet",
  "associate-applet",
  "put-ssd-keys",
  "personalize",
  "read-back",
  "create-key",
  "attest",
  "set-certificate",
  "report-certificate",
  "test",
  "set-attested",
  "prove",
  "read-card-life-cycle",
  "secure-card",
  "replace-isd-keys",
  "confirm",
  "close",
] as const;
/** One of `STEP_NAMES`. */
export type StepName = (typeof STEP_NAMES)[number];

/** Why a card may be scrapped at a step. */
export interface ScrapReason {
  /** An error code, or `repeated`: the card itself answered wrongly at `CARD_FAILURES_MAX` presentations in a row. */
  readonly on: string;
  readonly why: string;
}

/** A row of the table. Texts are for people; functions and lists are what the engine works with. */
export interface Resumption {
  /** How the card tells whether the step happened. */
  readonly card: string;
  /** What the journal holds of it, and since when. */
  readonly journal: string;
  /** Whether it has happened already, from the card's own answers; absent: it is done at every presentation. */
  readonly happened?: (facts: CardFacts, profile: Profile) => boolean;
  /** What is done when it has not happened, and when it has. */
  readonly next: string;
  /** What a tear in the middle leaves on the card and at the service. */
  readonly torn: string;
  /**
   * When the journal must be on disk. `before`: that it begins is known before its first command leaves, because it
   * cannot be undone. `answer`: the card's answer is known before anybody looks at it. Absent: the card or the service
   * can be asked again, so the note may be written with the next one.
   */
  readonly durable?: "before" | "answer";
  /** The only reasons for which a card is scrapped at this step; none: it is never scrapped here. */
  readonly scrap: readonly ScrapReason[];
}

const lifeCycle = (facts: CardFacts) => facts.applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
const certified = (facts: CardFacts) => lifeCycle(facts) >= APPLET_LIFE_CYCLE.PENDING_TESTS;
const attested = (facts: CardFacts) => lifeCycle(facts) >= APPLET_LIFE_CYCLE.ATTESTED;

/** A card that refuses what its batch accepts. */
const REPEATED: ScrapReason = {
  on: "repeated",
  why: "it answers wrongly at three presentations in a row what other cards of the batch answer rightly",
};
const CERTIFIED = "GET STATUS of the applet, life cycle 1 or more: this step and all before it happened.";
const NOTED_LATER = "The result, written with the next entry: the card is asked, not the journal.";

/** The table. */
export const RESUMPTION: Readonly<Record<StepName, Resumption>> = {
  "look": {
    card: "It is asked at every presentation.",
    journal: "Nothing yet: the chip is not known.",
    next: "SELECT, GET DATA and GET STATUS in the clear. They change nothing.",
    torn: "Nothing.",
    scrap: [],
  },
  "authenticate": {
    card: "It is done at every presentation. INITIALIZE UPDATE says which key version the issuer domain has.",
    journal:
      "Before EXTERNAL AUTHENTICATE leaves, on disk: the chip and that an authentication was begun. After it: that it succeeded.",
    next:
      "Authenticate again. After five authentications in a row of which the card's answer never came, or after one refusal, a human has to allow the next try.",
    torn:
      "At most one failed authentication in the card's counter; the next success sets it back. That is why tries without an answer are counted.",
    durable: "before",
    scrap: [],
  },
  "reserve": {
    card: "It cannot tell. With life cycle 1 or more it has its serial.",
    journal: "Reservation and serial, on disk before the serial goes to the card.",
    happened: certified,
    next:
      "Ask the service again: the same chip gets the same serial, and a new key for DGI 8137. A certified card that the journal does not know gets its reservation moved to this station.",
    torn: "A reservation at the service that nobody waits for; the chip gets it again.",
    scrap: [],
  },
  "read-content": {
    card: "It is asked while the applet is in life cycle 0.",
    journal: NOTED_LATER,
    happened: certified,
    next: "GET STATUS of the registry: what is there decides on the next five steps.",
    torn: "Nothing.",
    scrap: [REPEATED],
  },
  "install-ssd": {
    card: "The registry lists the SSD.",
    journal: NOTED_LATER,
    happened: (facts) => certified(facts) || facts.content?.ssdInstalled === true,
    next: "Not listed: INSTALL [for install]. Listed: go on.",
    torn: "INSTALL is atomic: the SSD is there, without keys, or it is not.",
    scrap: [REPEATED],
  },
  "load-package": {
    card: "The registry lists the package. An interrupted load leaves no entry.",
    journal: NOTED_LATER,
    happened: (facts) => certified(facts) || facts.content?.packageLoaded === true,
    next:
      "Not listed: INSTALL [for load] and all blocks from 0 on; the card drops what an interrupted load brought. Listed: go on.",
    torn: "No package before the last block was accepted, the whole package after it.",
    scrap: [REPEATED],
  },
  "install-applet": {
    card: "The registry lists the applet, and SELECT finds it.",
    journal: NOTED_LATER,
    happened: (facts) => certified(facts) || facts.content?.appletInstalled === true,
    next: "Not listed: INSTALL [for install and make selectable]. Listed: go on.",
    torn: "INSTALL is atomic: an applet in life cycle 0, or none.",
    scrap: [REPEATED],
  },
  "associate-applet": {
    card: "The applet's entry in the registry names its domain.",
    journal: NOTED_LATER,
    happened: (facts, { aids }) =>
      certified(facts) || facts.content?.appletDomain === undefined ||
      facts.content.appletDomain === aids.ssdInstance,
    next: "Another domain: INSTALL [for extradition]. The SSD: go on.",
    torn: "The applet belongs to the one domain or to the other.",
    scrap: [REPEATED],
  },
  "put-ssd-keys": {
    card: "The registry says that the SSD is PERSONALIZED.",
    journal: NOTED_LATER,
    happened: (facts) => certified(facts) || facts.content?.ssdKeyed === true,
    next:
      "Not yet: PUT KEY, through the issuer domain's keys, which an SSD without keys uses. PERSONALIZED: open it with its own.",
    torn: "PUT KEY of a key set is atomic: all three keys, or the SSD still uses those of the issuer domain.",
    scrap: [REPEATED, {
      on: "GP_KEY_CHECK_VALUE",
      why: "it holds other keys than it was sent, and no wallet has them",
    }],
  },
  "personalize": {
    card: "It cannot tell which of the parts it has; STORE DATA is accepted as long as the life cycle is 0.",
    journal: NOTED_LATER,
    happened: certified,
    next:
      "Life cycle 0: all parts again, with the same serial and the new key of DGI 8137. 1 or more: go on.",
    torn:
      "Any of the parts, old or new. Each is overwritten whole; the old DGI 8137 key attests nothing any more.",
    scrap: [REPEATED],
  },
  "read-back": {
    card: "It is asked while the applet is in life cycle 0.",
    journal: NOTED_LATER,
    happened: certified,
    next:
      "GET STATUS through the channel must say the reserved serial and life cycle 0, before a key is made.",
    torn: "Nothing.",
    scrap: [
      REPEATED,
      { on: "CARD_SERIAL_MISMATCH", why: "it took the serial that it was sent and reports another" },
    ],
  },
  "create-key": {
    card: "It cannot tell: every GET PUBLIC KEY makes a new key pair, also one whose answer is lost.",
    journal: "The card's answer, on disk before anybody looks at it.",
    happened: certified,
    next:
      "Life cycle 0: STORE DATA again, GET PUBLIC KEY again. The attestation of the new key supersedes and revokes one of an earlier key.",
    torn: "A key pair that nobody knows; it is replaced.",
    durable: "answer",
    scrap: [
      REPEATED,
      { on: "CARD_SERIAL_MISMATCH", why: "it made its key for another serial than it was sent" },
    ],
  },
  "attest": {
    card: "It cannot tell; the service can.",
    journal: "Public key and certificate hash, on disk before the certificate goes to the card.",
    happened: certified,
    next:
      "Life cycle 0: from STORE DATA on. The service gives the same certificate for the same key, and for a new key a new one that supersedes it.",
    torn: "A certificate at the service that is on no card; the next one revokes it.",
    scrap: [
      { on: "ATTEST_PUBLIC_KEY", why: "its key is no point of the curve" },
      { on: "ATTEST_KEY_REUSED", why: "another card has the same key: neither may be sold" },
    ],
  },
  "set-certificate": {
    card: CERTIFIED,
    journal: "Before it, on disk: that the certificate is about to be written, and its hash.",
    happened: certified,
    next:
      "Life cycle 0: it was not taken; from STORE DATA on. Life cycle 1: it was; mutual authentication tells later which certificate the card holds.",
    torn: "The certificate and life cycle 1 together, or neither.",
    durable: "before",
    scrap: [REPEATED],
  },
  "report-certificate": {
    card: "It cannot tell, and need not: its closure says the same later.",
    journal: "Nothing.",
    happened: attested,
    next:
      "Life cycle 1: the service is told that the certificate is on the card, so that it attests no other key for this chip. A report that is lost stops nothing.",
    torn: "Nothing.",
    scrap: [],
  },
  "test": {
    card: "GET STATUS, life cycle 2: the tests were passed.",
    journal: NOTED_LATER,
    happened: attested,
    next: "Life cycle 1: test again.",
    torn: "Nothing.",
    scrap: [
      REPEATED,
      { on: "CARD_SERIAL_MISMATCH", why: "it reports another serial than its certificate was written for" },
      { on: "CARD_TEST_FAILED", why: "it breaks a limit of the profile" },
    ],
  },
  "set-attested": {
    card: "GET STATUS, life cycle 2.",
    journal: "Before it, on disk: that it begins.",
    happened: attested,
    next: "Life cycle 1: SET STATUS. 2: go on.",
    torn: "Life cycle 1 or 2.",
    durable: "before",
    scrap: [
      REPEATED,
      { on: "CARD_SERIAL_MISMATCH", why: "it reports another serial than its certificate was written for" },
    ],
  },
  "prove": {
    card: "It is done at every presentation: only this shows that the certificate is for the card's own key.",
    journal: "The hash of the certificate that the card holds.",
    next: "Mutual authentication.",
    torn: "Nothing: its keys are lost with power.",
    scrap: [
      REPEATED,
      { on: "MUTUAL_CARD_CERTIFICATE", why: "the certificate that it holds is wrong and cannot be replaced" },
      { on: "MUTUAL_CARD_SERIAL", why: "the certificate that it holds names another card" },
      { on: "MUTUAL_CARD_SIGNATURE", why: "it does not have the key of its certificate" },
    ],
  },
  "read-card-life-cycle": {
    card: "It is asked as long as the transport keys are there.",
    journal: NOTED_LATER,
    happened: ({ isdKeysReplaced }) => isdKeysReplaced,
    next: "GET STATUS of the issuer domain.",
    torn: "Nothing.",
    scrap: [REPEATED],
  },
  "secure-card": {
    // Keys are replaced last of all, so replaced keys say that the card is secured.
    card: "GET STATUS of the issuer domain says SECURED; so do replaced keys, which come after it.",
    journal: "Before it, on disk: that it begins.",
    happened: (facts) => facts.isdKeysReplaced || facts.cardLifeCycle === CARD_LIFE_CYCLE.SECURED,
    next: "OP_READY: to INITIALIZED, then to SECURED. INITIALIZED: to SECURED. SECURED: go on.",
    torn: "One of the three states; the transport keys open the card in each.",
    durable: "before",
    scrap: [REPEATED],
  },
  "replace-isd-keys": {
    card: "INITIALIZE UPDATE: the new key version answers, the old one does not. No key is needed to ask.",
    journal: "Before it, on disk: that the keys are about to be thrown away.",
    happened: ({ isdKeysReplaced }) => isdKeysReplaced,
    next:
      "Old version there: PUT KEY with newly drawn keys. New version there: go on; nothing needs the old keys.",
    torn:
      "PUT KEY of a key set is atomic: old version or new one. Nobody has the new keys, and nobody needs them.",
    durable: "before",
    scrap: [REPEATED, { on: "GP_KEY_CHECK_VALUE", why: "it holds other keys than it was sent" }],
  },
  "confirm": {
    card: "It is done at every presentation.",
    journal: NOTED_LATER,
    next: "Key version, life cycle 2/1 and serial are read once more.",
    torn: "Nothing.",
    scrap: [REPEATED],
  },
  "close": {
    card: "It cannot tell; journal and service can.",
    journal: "The outcome, on disk before it is told to the service; that it was told, after it.",
    next:
      "Outcome in the journal: it is told again, at the next start too, without the card. No outcome: prove, confirm, then this.",
    torn: "The card is finished. A closure that the service has already is answered as the first time.",
    scrap: [{
      on: "ATTEST_CERTIFICATE_MISMATCH",
      why: "the certificate that it holds is revoked and cannot be replaced",
    }],
  },
};

/** Whether a card may be scrapped at a step for a reason. @param repeated the card itself failed so often that it is given up. */
export function mayScrap(step: string, code: string, repeated: boolean): boolean {
  const row = (RESUMPTION as Readonly<Record<string, Resumption | undefined>>)[step];
  return row?.scrap.some(({ on }) => on === code || (repeated && on === "repeated")) ?? false;
}
