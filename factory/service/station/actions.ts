/** The steps of the sequence that need more than commands and checks: the attestation service, and proofs. */

import { createHash } from "node:crypto";
import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { parseCardCertificate, verifyCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { parseSimple } from "shared/protocol/tlv/simple.ts";
import type { StepAction } from "../../domain/personalization/steps.ts";
import type { CardFacts } from "../../domain/personalization/facts.ts";
import { APPLET_LIFE_CYCLE } from "../../domain/personalization/start.ts";
import { known } from "../../domain/personalization/exchange.ts";
import type { Profile } from "../../domain/profile.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import { reserve } from "./admit.ts";
import type { CardLink } from "./card_link.ts";
import { closeRecord } from "./close_record.ts";
import type { StationContext } from "./context.ts";
import { readApplet } from "./look.ts";
import { checkDiversification } from "./same_card.ts";

/** What an action works with. `card` is replaced as the journal changes. */
export interface ActionScene {
  readonly context: StationContext;
  readonly facts: CardFacts;
  readonly link: CardLink;
  card: JournalCard;
}

/** SHA-256 as hex. */
function sha256(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest());
}

/**
 * Checks a certificate as a wallet would, and that it is this card's: nothing of what the service sends is believed.
 * @throws {CodedError} `CERTIFICATE_REFUSED`; the cause says which rule.
 */
export function checkCertificate(facts: CardFacts, profile: Profile, bytes: Uint8Array): void {
  const refused = (why: string, cause?: unknown) =>
    new CodedError("CERTIFICATE_REFUSED", `Cannot accept certificate: ${why}`, {}, cause);
  let certificate;
  try {
    certificate = parseCardCertificate(bytes, { strict: true });
  } catch (error) {
    throw refused("it breaks the wallet's rules", error);
  }
  const tags = parseSimple(bytes).map(({ tag }) => toHex(Uint8Array.of(tag)));
  if (tags.join() !== profile.certificateTags.join()) throw refused("its tags are not the profile's");
  if (!verifyCardCertificate(certificate, facts.issuerPublicKey)) throw refused("the issuer did not sign it");
  if (!equal(certificate.serial, known(facts.serial, "the serial"))) throw refused("it names another serial");
  if (!equal(certificate.publicKey, known(facts.publicKey, "the card's key"))) {
    throw refused("it is for another key");
  }
  if (toHex(Uint8Array.of(certificate.targetDevice)) !== profile.targetDevice) {
    throw refused("it is for another device");
  }
}

async function attest({ context, facts, ...scene }: ActionScene): Promise<JournalCard> {
  const answer = await context.attestation.attest({
    reservation: known(facts.reservation, "the reservation"),
    serial: toHex(known(facts.serial, "the serial")),
    publicKey: toHex(known(facts.publicKey, "the card's key")),
    signature: toHex(known(facts.publicKeySignature, "the card's signature")),
    // GET PUBLIC KEY has just answered, which it does in life cycle 0 only.
    lifeCycle: APPLET_LIFE_CYCLE.FABRICATION,
  });
  const certificate = fromHex(answer.certificate);
  checkCertificate(facts, context.batch.profile, certificate);
  const hash = sha256(certificate);
  if (hash !== answer.certificateSha256) {
    throw new CodedError(
      "CERTIFICATE_REFUSED",
      "Cannot accept certificate: its hash is not the one that came with it",
    );
  }
  facts.certificate = certificate;
  facts.certificateSha256 = hash;
  return context.journal.change(scene.card.id, {
    publicKey: toHex(facts.publicKey!),
    certificateSha256: hash,
  });
}

/** Tells the service that the card holds its certificate. A card of another station is told of by its closure alone. */
async function report({ context, facts, card }: ActionScene): Promise<JournalCard> {
  const { reservation } = facts;
  const certificateSha256 = facts.certificateSha256 ?? card.certificateSha256;
  if (reservation !== undefined && certificateSha256 !== null && certificateSha256 !== undefined) {
    await context.attestation.install({
      reservation,
      certificateSha256,
      lifeCycle: APPLET_LIFE_CYCLE.PENDING_TESTS,
    });
  }
  return card;
}

/** Full mutual authentication in the open channel: the card has its certificate's key, and the certificate is right. */
async function prove({ context, facts, link, card }: ActionScene): Promise<JournalCard> {
  const result = await mutualAuthenticate({
    send: (command) => link.channel.send(command),
    issuerPublicKey: facts.issuerPublicKey,
    host: context.host,
    random: context.random,
    strict: true,
    expectedSerial: known(facts.serial, "the serial"),
  });
  result.capsuleKeys.enc.wipe();
  result.capsuleKeys.mac.wipe();
  const { bytes, targetDevice, publicKey } = result.cardCertificate;
  if (facts.publicKey !== undefined && !equal(publicKey!, facts.publicKey)) {
    throw new CodedError(
      "MUTUAL_CARD_CERTIFICATE",
      "Cannot pass card: its certificate is not for the key that it made",
    );
  }
  if (toHex(Uint8Array.of(targetDevice ?? 0)) !== context.batch.profile.targetDevice) {
    throw new CodedError(
      "MUTUAL_CARD_CERTIFICATE",
      "Cannot pass card: its certificate is for another device",
    );
  }
  facts.certificateSha256 = sha256(bytes);
  return card.certificateSha256 === facts.certificateSha256
    ? card
    : context.journal.change(card.id, { certificateSha256: facts.certificateSha256 });
}

/** What can be seen from outside: the ISD's keys are gone, and the applet says 2/1 and its serial. */
async function confirm({ context, facts, link, card }: ActionScene): Promise<JournalCard> {
  const { profile } = context.batch;
  const { replaceIsdKeys, newKeyVersion } = profile.secure;
  if (replaceIsdKeys) {
    const notLocked = (why: string) => new CodedError("CARD_NOT_LOCKED", `Cannot pass card: ${why}`);
    await link.selectExisting(profile.aids.isd, "the ISD");
    const info = await link.probe(newKeyVersion!);
    if (info !== undefined) checkDiversification(facts, "isd", info.keyDiversificationData);
    if (info?.keyVersion !== newKeyVersion) throw notLocked("it does not know the new key version");
    if (await link.probe(profile.isdKeys.version) !== undefined) {
      throw notLocked("it still knows the transport keys");
    }
    facts.isdKeysReplaced = true;
  }
  const status = await readApplet(link, profile);
  const right = status?.lifeCycle === APPLET_LIFE_CYCLE.ATTESTED && status.transient === 1;
  if (!right || !equal(status.serial, known(facts.serial, "the serial"))) {
    throw new CodedError(
      "CARD_NOT_ATTESTED",
      "Cannot pass card: at the end it does not report 2/1 and its serial",
    );
  }
  return card;
}

/**
 * Closes the record; a reservation that another station took over meanwhile comes back with the card, which is here.
 * @throws {CodedError} `ATTEST_CHIP_CLOSED` when the other station finished it, and those of the service.
 */
async function closeHere(scene: ActionScene, card: JournalCard): Promise<JournalCard> {
  const { context, facts } = scene;
  try {
    return await closeRecord(context, card);
  } catch (error) {
    if (codeOf(error) !== "ATTEST_STATION_MISMATCH" || context.batch.profile.anonymousChips) throw error;
  }
  try {
    const back = await reserve(context, facts, card);
    if (back.serial === card.serial) return await closeRecord(context, back);
  } catch (error) {
    if (codeOf(error) !== "ATTEST_CHIP_CLOSED") throw error;
    // Good or scrapped: that station knows, this one does not.
    context.journal.change(card.id, { state: "open", closed: true });
    throw error;
  }
  throw new CodedError(
    "CARD_DUPLICATE",
    `Cannot close card ${card.serial}: the service knows its chip by another serial`,
  );
}

async function close(scene: ActionScene): Promise<JournalCard> {
  const { context, link } = scene;
  const card = context.journal.change(scene.card.id, {
    state: "good",
    reason: null,
    failures: 0,
    apdus: scene.card.apdus + link.apdus,
  });
  return await closeHere(scene, card);
}

/** The action of each step that has one. Each returns the card as the journal has it. */
export const ACTIONS: Readonly<Record<StepAction, (scene: ActionScene) => Promise<JournalCard>>> = {
  reserve: ({ context, facts, card }) => reserve(context, facts, card),
  attest,
  report,
  prove,
  confirm,
  close,
};
