/**
 * The beginning of a presentation: the card is looked at, known by its chip, let onto the line and, while it is blank,
 * authenticated. Steps 1 and 2 of spec/card.md, section 7. Nothing is changed on the card here.
 */

import { equal } from "shared/base/bytes.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { CPLC_LAYOUT, getCplcCommand, parseCplc } from "shared/protocol/gp/cplc.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import type { CardFacts } from "../../domain/personalization/facts.ts";
import type { StepName } from "../../domain/personalization/resumption.ts";
import { APPLET_LIFE_CYCLE } from "../../domain/personalization/start.ts";
import type { Profile } from "../../domain/profile.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import { admit } from "./admit.ts";
import type { CardLink, OpenChannel } from "./card_link.ts";
import type { StationContext } from "./context.ts";
import { lookAtCard } from "./look.ts";
import { identifyAgain } from "./same_card.ts";
import { keyVersionMissing, swapped } from "./refusals.ts";

/** What an arrival works with, and whom it tells. */
export interface Arrival {
  readonly context: StationContext;
  readonly reader: string;
  readonly link: CardLink;
  readonly facts: CardFacts;
  /** Keys of the issuer domain; asked for when the chip is known and let in, with the journal on disk. */
  readonly keys: () => Promise<StaticKeys>;
  readonly onPhase: (phase: StepName) => void;
  /** The journal's card, as soon as the card is let in. */
  readonly onCard: (card: JournalCard) => void;
  readonly onLocked: (release: () => void) => void;
}

/** How the issuer domain's channel is opened. */
export function issuerChannel({ aids, isdKeys, securityLevel }: Profile): Omit<OpenChannel, "keys"> {
  const level = parseInt(securityLevel, 16) as SecurityLevel;
  return { target: "isd", aid: aids.isd, keyVersion: isdKeys.version, level };
}

/**
 * Lets a card in.
 * @returns true when its work is finished and only the attestation service has to be told.
 * @throws {CodedError} `CARD_KEY_VERSION`, `PROFILE_CARD`, and those of `admit` and of SCP03.
 */
export async function arrive(arrival: Arrival): Promise<boolean> {
  const { link, facts, context } = arrival;
  const { profile } = context.batch;
  const look = await lookAtCard(link, profile);
  facts.cplc = look.cplc;
  facts.keyVersions = look.keyVersions;
  if (look.applet !== undefined) facts.applet = look.applet;
  checkKeyVersions(facts, profile);

  const letIn = async () => {
    arrival.onPhase("authenticate");
    const nameAgain = () => identifyAgain(link, facts, profile);
    const { card, reportOnly } = await admit({ ...arrival, nameAgain });
    arrival.onCard(card);
    return reportOnly;
  };
  const lifeCycle = facts.applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
  arrival.onPhase("authenticate");
  if (lifeCycle === APPLET_LIFE_CYCLE.FABRICATION && !saysReplaced(facts, profile)) {
    let reportOnly = false;
    // A SELECT that found no applet has left the ISD selected. GPC 2.3.1, 11.9.
    if (facts.applet !== undefined) await link.selectExisting(profile.aids.isd, "the ISD");
    const named = await namedBefore(link, profile);
    await link.authenticate({
      ...issuerChannel(profile),
      keys: async (info) => {
        if (named !== undefined && !equal(named, info.keyDiversificationData)) {
          throw swapped("it names itself otherwise than just now");
        }
        facts.keyDiversificationData = info.keyDiversificationData;
        reportOnly = await letIn();
        return await arrival.keys();
      },
    });
    await checkChip(arrival);
    return reportOnly;
  }
  // A card with a certificate may have lost its transport keys on purpose: INITIALIZE UPDATE alone tells.
  await link.selectExisting(profile.aids.isd, "the ISD");
  const { replaceIsdKeys, newKeyVersion } = profile.secure;
  let info = await link.probe(profile.isdKeys.version);
  if (info === undefined && replaceIsdKeys) {
    info = await link.probe(newKeyVersion!);
    facts.isdKeysReplaced = info !== undefined;
  }
  if (info === undefined) throw keyVersionMissing(facts, profile);
  facts.keyDiversificationData = info.keyDiversificationData;
  return await letIn();
}

/**
 * The CPLC that was read in the clear once more, now from the chip that has the keys: what is recorded of a card, and
 * the serial that it gets, are of one chip. Cards that do not tell it inside a channel are believed.
 */
async function checkChip({ link, facts }: Arrival): Promise<void> {
  if (facts.cplc === null) return;
  const answer = await link.channel.send(getCplcCommand());
  if (answer.sw !== SW.OK) return;
  if (!equal(CPLC_LAYOUT.encode(parseCplc(answer.data)), facts.cplc)) throw swapped("its CPLC is another");
}

/**
 * What the card says of itself in an INITIALIZE UPDATE of its own, where nothing else proves it: diversified keys fit one
 * diversification data alone, given ones fit any, and a name that arrived garbled would get a serial.
 */
async function namedBefore(
  link: CardLink,
  { isdKeys, anonymousChips }: Profile,
): Promise<Uint8Array | undefined> {
  if (isdKeys.given === null || anonymousChips) return undefined;
  return (await link.probe(isdKeys.version))?.keyDiversificationData;
}

/** Whether the key information says that only the thrown-away keys are there. */
function saysReplaced({ keyVersions }: CardFacts, { secure, isdKeys }: Profile): boolean {
  return secure.replaceIsdKeys && keyVersions !== null && !keyVersions.includes(isdKeys.version) &&
    keyVersions.includes(secure.newKeyVersion!);
}

/** Key information, where the card has it, spares it an INITIALIZE UPDATE with a version that is not there. */
function checkKeyVersions(facts: CardFacts, profile: Profile): void {
  const { version } = profile.isdKeys;
  const versions = facts.keyVersions;
  // FF: a blank card's initial keys, which some cards list under this number whatever version they answer to.
  if (version === 0 || versions === null || versions.length === 0 || versions.includes(0xff)) return;
  if (!versions.includes(version) && !saysReplaced(facts, profile)) throw keyVersionMissing(facts, profile);
}
