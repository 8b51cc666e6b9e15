/**
 * Is this still the card that was begun? A reader, or something between station and reader, can bring another chip
 * without saying so. Asked whenever a channel is opened, and before a card is blamed for a wrong answer.
 */

import { equal, toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { CPLC_LAYOUT, getCplcCommand, parseCplc } from "shared/protocol/gp/cplc.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import type { CardFacts } from "../../domain/personalization/facts.ts";
import { decideFailure } from "../../domain/personalization/failure.ts";
import { APPLET_LIFE_CYCLE } from "../../domain/personalization/start.ts";
import type { Profile } from "../../domain/profile.ts";
import type { CardLink, ChannelTarget, OpenChannel } from "./card_link.ts";
import { readApplet } from "./look.ts";
import { keyVersionMissing, swapped } from "./refusals.ts";

/** The key version by which the issuer domain answers now. */
function issuerKeyVersion({ isdKeysReplaced }: CardFacts, { isdKeys, secure }: Profile): number {
  return isdKeysReplaced ? secure.newKeyVersion! : isdKeys.version;
}

/** Outcome of `checkDiversification`: `ask` when the card has to be asked at its issuer domain. */
export type DiversificationCheck = "same" | "ask";

/**
 * Compares what INITIALIZE UPDATE of a domain says of the chip with what is known. No key has been tried yet.
 * @param data 10 bytes.
 * @throws {CodedError} `CARD_SWAPPED`.
 */
export function checkDiversification(
  facts: CardFacts,
  target: ChannelTarget,
  data: Uint8Array,
): DiversificationCheck {
  const issuer = facts.keyDiversificationData;
  const expected = facts.otherDiversificationData.get(target) ?? issuer;
  if (expected === undefined || equal(expected, data)) return "same";
  // Cards may diversify each domain on its own: what this one says is believed once, when the issuer domain vouches.
  if (target !== "isd" && !facts.otherDiversificationData.has(target)) return "ask";
  throw swapped(`key diversification data ${toHex(data)}, not ${toHex(expected)}`);
}

/** SELECT of the issuer domain and INITIALIZE UPDATE: its diversification data must be the known ones. */
async function vouchForCard(link: CardLink, facts: CardFacts, profile: Profile): Promise<void> {
  await link.selectExisting(profile.aids.isd, "the ISD");
  const info = await link.probe(issuerKeyVersion(facts, profile));
  if (info === undefined) throw swapped("it has other key versions");
  checkDiversification(facts, "isd", info.keyDiversificationData);
}

/** A channel whose keys are told only for the chip that was let in. */
export type SameChannel = Omit<OpenChannel, "keys"> & { readonly keys: () => Promise<StaticKeys> };

/** Opens a channel, but only to the chip that was let in: on another one no key is tried. @throws {CodedError} `CARD_SWAPPED`, and those of `CardLink.open`. */
export async function openSame(
  link: CardLink,
  facts: CardFacts,
  profile: Profile,
  { keys, ...what }: SameChannel,
): Promise<void> {
  let other: Uint8Array | undefined;
  const open = () =>
    link.open({
      ...what,
      keys: async ({ keyDiversificationData: data }) => {
        if (checkDiversification(facts, what.target, data) === "same") return await keys();
        other = data;
        throw swapped(`the ${what.target} has other diversification data`);
      },
    });
  try {
    await open();
  } catch (error) {
    // Power that was lost between SELECT and INITIALIZE UPDATE: another domain was asked, and no key was tried.
    if (codeOf(error) === "SCP03_INITIALIZE_REFUSED") return void await open();
    if (other === undefined) throw error;
    await vouchForCard(link, facts, profile);
    facts.otherDiversificationData.set(what.target, other);
    await open();
  }
}

/** Refusals that a card which was let in gives only when it is not that card any more, or has lost power. */
const ODD_AFTER_ADMISSION: ReadonlySet<string> = new Set([
  "SCP03_AUTHENTICATION_FAILED",
  "SCP03_INITIALIZE_REFUSED",
  "CARD_KEY_VERSION",
  "PROFILE_CARD",
]);

/**
 * What really happened, before a card is blamed for its answer: is it there, and is it still the one that was begun?
 * @returns the error, or the one that explains it.
 */
export async function explainFailure(
  link: CardLink,
  facts: CardFacts,
  profile: Profile,
  error: unknown,
  step: string,
): Promise<unknown> {
  if (!(error instanceof CodedError)) return error;
  const missing = error.code === "SCP03_INITIALIZE_REFUSED" &&
    error.details["sw"] === SW.REFERENCED_DATA_NOT_FOUND;
  const told = missing ? keyVersionMissing(facts, profile) : error;
  const { code } = told;
  const { disposition, counts } = decideFailure(code, step, 0);
  const blamed = counts || disposition === "scrapped" || ODD_AFTER_ADMISSION.has(code);
  const known = facts.keyDiversificationData !== undefined;
  if (!blamed || !known || error.details["fromService"] === true) return told;
  // Test cards that cannot be told apart show an exchange by their serial alone.
  if (code === "CARD_SERIAL_MISMATCH" && profile.anonymousChips) return swapped("its serial is another");
  try {
    await identifyAgain(link, facts, profile);
  } catch (second) {
    const then = decideFailure(codeOf(second), step, 0);
    // Gone, or another one: neither is this card's fault.
    if (then.disposition === "again" && !then.counts) return second;
  }
  // The same chip, which knows nothing of the INITIALIZE UPDATE before: no key was refused.
  if (code === "SCP03_AUTHENTICATION_FAILED" && error.details["sw"] === SW.CONDITIONS_NOT_SATISFIED) {
    return new CodedError("CARD_RESET", "Cannot authenticate: the card lost its power in the reader");
  }
  return told;
}

/**
 * Looks again at everything that names the card: when it answered wrongly, and before the service is asked whose it is.
 * Throws `CARD_SWAPPED`, and `CARD_REMOVED` and the like when it is gone meanwhile.
 */
export async function identifyAgain(link: CardLink, facts: CardFacts, profile: Profile): Promise<void> {
  await link.selectExisting(profile.aids.isd, "the ISD");
  const answer = await link.transmit(getCplcCommand());
  if (facts.cplc !== null) {
    const cplc = answer.sw === SW.OK ? CPLC_LAYOUT.encode(parseCplc(answer.data)) : undefined;
    if (cplc === undefined || !equal(cplc, facts.cplc)) throw swapped("its CPLC is another");
  }
  if (facts.keyDiversificationData !== undefined) {
    // Keys that were being replaced may be there or not: both versions are asked.
    const { isdKeys, secure } = profile;
    const info = await link.probe(isdKeys.version) ??
      (secure.replaceIsdKeys ? await link.probe(secure.newKeyVersion!) : undefined);
    if (info !== undefined) checkDiversification(facts, "isd", info.keyDiversificationData);
  }
  const { applet } = facts;
  if (applet !== undefined && applet.lifeCycle >= APPLET_LIFE_CYCLE.PENDING_TESTS) {
    const now = await readApplet(link, profile);
    if (now === undefined || !equal(now.serial, applet.serial)) throw swapped("its serial is another");
  }
}
