/** Lets a card onto the line: which chip it is, what the journal knows of it, and whether work may begin or go on. */

import { equal, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { publicKeyOf } from "shared/crypto/secp256k1.ts";
import { type CardFacts, chipKey, chipOf } from "../../domain/personalization/facts.ts";
import { APPLET_LIFE_CYCLE, decideStart } from "../../domain/personalization/start.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import { closeRecord } from "./close_record.ts";
import type { StationContext } from "./context.ts";

/** A card that was let onto the line. */
export interface Admission {
  readonly card: JournalCard;
  /** Work is finished; only the attestation service has to be told. */
  readonly reportOnly: boolean;
}

/** What a run has to know to give a card back. */
export interface AdmissionOptions {
  readonly context: StationContext;
  readonly facts: CardFacts;
  readonly reader: string;
  /** Asks the card for everything that names it once more. @throws {CodedError} `CARD_SWAPPED` when it is another now. */
  readonly nameAgain: () => Promise<void>;
  /** Called with the way to release the chip as soon as it is locked. */
  readonly onLocked: (release: () => void) => void;
}

/**
 * Decides on a card whose chip is known. Nothing was changed on it so far.
 * @throws {CodedError} the codes of `decideStart`, `CARD_TWIN`, and those of a reservation.
 */
export async function admit(
  { context, facts, reader, nameAgain, onLocked }: AdmissionOptions,
): Promise<Admission> {
  const { batch, journal, chips, clock } = context;
  const { profile } = batch;
  const chip = chipKey(chipOf(facts));
  const release = profile.anonymousChips ? await chips.acquire(chip) : chips.tryAcquire(chip);
  if (release === undefined) {
    throw new CodedError("CARD_TWIN", "Cannot personalize card: another reader works on the same chip");
  }
  onLocked(release);

  if (context.retryAuthentication && journal.blocked(chip) !== undefined) journal.unblock(chip);
  const lifeCycle = facts.applet?.lifeCycle ?? APPLET_LIFE_CYCLE.FABRICATION;
  const blank = lifeCycle === APPLET_LIFE_CYCLE.FABRICATION;
  let known = journal.find(chip, blank ? undefined : toHex(facts.applet!.serial));
  if (!blank && known === undefined && !profile.anonymousChips) {
    // Begun here, finished or carried on elsewhere: the serial came later than the journal's last word.
    const begun = journal.find(chip);
    if (begun?.state === "open") known = begun;
  }
  if (blank && known?.state === "open" && known.batch !== batch.batch) {
    // Begun for another batch and still blank: that serial is accounted for as scrapped, this batch begins anew.
    journal.change(known.id, {
      state: "scrapped",
      reason: "CARD_OTHER_BATCH",
      closed: known.reservation === null,
    });
    known = undefined;
  }
  if (context.retryAuthentication && known !== undefined && known.attempts > 0) {
    known = journal.change(known.id, { attempts: 0 });
  }
  const decision = decideStart({
    profile,
    facts,
    known,
    blocked: journal.blocked(chip),
    firstSerial: batch.firstSerial,
    lastSerial: batch.lastSerial,
  });
  if (decision.kind === "refuse") throw new CodedError(decision.code, decision.message);
  // Asked without a channel, a name that arrived garbled would be another chip's, and get a serial of its own.
  if (decision.kind === "ask") await nameAgain();

  const open = known !== undefined && (known.state === "open" || decision.kind === "report")
    ? known
    : undefined;
  let card = open ?? journal.begin({ chip, batch: batch.batch, reader, startedAt: clock.now() });
  card = journal.change(card.id, {
    presentations: card.presentations + 1,
    reader,
    ...(card.state === "open" ? { closed: false } : {}),
    ...(lifeCycle > card.lifeCycle ? { lifeCycle } : {}),
  });
  if (decision.kind === "continue") {
    facts.reservation = known!.reservation!;
    facts.serial = facts.applet!.serial;
  }
  if (decision.kind === "ask") {
    card = await askForCard(context, facts, card);
  }
  return { card, reportOnly: decision.kind === "report" };
}

/**
 * A certified card of this batch that this station does not know: the service says whose it is, and gives it here.
 * @throws {CodedError} `CARD_DUPLICATE` when the service knows the chip by another serial.
 */
async function askForCard(
  context: StationContext,
  facts: CardFacts,
  card: JournalCard,
): Promise<JournalCard> {
  const { card: known, again } = await reserveOnce(context, facts, card);
  const serial = facts.applet!.serial;
  if (equal(facts.serial!, serial)) return known;
  const reserved = toHex(facts.serial!);
  facts.personalizationKey?.wipe();
  // A serial that was given out by this question is accounted for; one that is another card's stays with it.
  const changed = context.journal.change(known.id, {
    state: "scrapped",
    reason: "CARD_DUPLICATE",
    ...(again ? { reservation: null, serial: null, closed: true } : {}),
  });
  if (!again) await closeRecord(context, changed);
  throw new CodedError(
    "CARD_DUPLICATE",
    `Cannot go on with card: it has serial ${toHex(serial)}, the service knows its chip by ${reserved}`,
  );
}

/** Reserves a serial and a DGI 8137 key. @throws {CodedError} `ISSUER_MISMATCH`, and those of the service. */
export async function reserve(
  context: StationContext,
  facts: CardFacts,
  card: JournalCard,
): Promise<JournalCard> {
  return (await reserveOnce(context, facts, card)).card;
}

async function reserveOnce(
  context: StationContext,
  facts: CardFacts,
  card: JournalCard,
): Promise<{ readonly card: JournalCard; readonly again: boolean }> {
  const reservation = await context.attestation.reserve({ batch: context.batch.batch, chip: chipOf(facts) });
  if (!equal(reservation.issuerPublicKey, facts.issuerPublicKey)) {
    reservation.personalizationKey.wipe();
    throw new CodedError("ISSUER_MISMATCH", "Cannot personalize card: the issuer key is not the batch's");
  }
  facts.personalizationKey = reservation.personalizationKey;
  facts.personalizationPublicKey = publicKeyOf(reservation.personalizationKey);
  facts.reservation = reservation.reservation;
  facts.serial = reservation.serial;
  const known = context.journal.change(card.id, {
    reservation: reservation.reservation,
    serial: toHex(reservation.serial),
  });
  return { card: known, again: reservation.again };
}
