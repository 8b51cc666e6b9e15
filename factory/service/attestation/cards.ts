/** One card's way: reserved, attested, closed (spec/card.md, section 7, steps 4, 6 and 9). */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex } from "shared/base/bytes.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type {
  AttestationAnswer,
  AttestationRequest,
  ClosureAnswer,
  ClosureRequest,
  PersonalizationKeySealed,
  ReservationAnswer,
  ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import { mayAttest, serialHex } from "../../domain/issuance/attestation.ts";
import { chipIdentity } from "../../domain/issuance/chip.ts";
import { mayClose } from "../../domain/issuance/closure.ts";
import type { CertificateRecord } from "../../transport/issuance_store/records.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import { mayReserve } from "../../domain/issuance/reservation.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type AttestationContext, isRefusal, signedRequest } from "./context.ts";
import { sealForStation } from "./station_seal.ts";

/**
 * Gives a chip its serial and draws a DGI 8137 key for it. The private half is in this process until it is
 * sealed, and nowhere afterwards; a card that is reserved again gets another one, and the old one attests
 * nothing any more.
 */
export async function reserve(
  context: AttestationContext,
  stamp: RequestStamp,
  request: ReservationRequest,
): Promise<ReservationAnswer | Refusal> {
  const { chip } = request;
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const privateKey = generatePrivateKey(context.random);
  try {
    const personalizationKey = toHex(publicKeyOf(privateKey));
    const { key } = chipIdentity(chip, false);
    const made = await signedRequest(
      context,
      stamp,
      ["station"],
      (transaction) =>
        Promise.all([
          transaction.batch(request.batch, true),
          transaction.lockReservationOfChip(request.batch, key),
          transaction.statesElsewhere(request.batch, key),
        ]),
      async (transaction, [batch, mine, elsewhere]) => {
        const identity = chipIdentity(chip, batch?.anonymousChips ?? false);
        const decision = mayReserve({ batch, mine, elsewhere }, identity);
        if (decision.kind === "refuse") return decision;
        if (decision.kind === "again") {
          const { reservation, state } = decision;
          await transaction.reserveAgain(reservation.id, state, stamp.sender, personalizationKey);
          return { id: reservation.id, serial: reservation.serial, again: true };
        }
        const id = crypto.randomUUID();
        await transaction.insertReservation({
          id,
          batch: decision.batch.name,
          station: stamp.sender,
          serial: decision.serial,
          chipKey: identity.key,
          chipDistinct: identity.distinct,
          cplc: chip.cplc,
          keyDiversificationData: chip.keyDiversificationData,
          personalizationKey,
        });
        return { id, serial: decision.serial, again: false };
      },
    );
    if (isRefusal(made)) return made;
    const serial = serialHex(made.serial);
    const plain: PersonalizationKeySealed = { dgi8137: toHex(privateKey.reveal()) };
    const sealed = await sealForStation(context, stamp.sender, plain);
    context.log.info("card.reserved", {
      batch: request.batch,
      reservation: made.id,
      serial,
      again: made.again,
      sender: stamp.sender,
    });
    return { reservation: made.id, serial, issuerPublicKey, sealed, again: made.again };
  } finally {
    privateKey.wipe();
  }
}

/** Checks a card's public key and answers its certificate, which is in the database before it is told. */
export async function attest(
  context: AttestationContext,
  stamp: RequestStamp,
  request: AttestationRequest,
): Promise<AttestationAnswer | Refusal> {
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const made = await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) =>
      Promise.all([
        transaction.lockReservation(request.reservation),
        transaction.batchOfReservation(request.reservation),
        transaction.certificateOfKey(request.publicKey),
      ]),
    async (transaction, [view, batch, ofKey]) => {
      const decision = mayAttest(
        {
          reservation: view?.reservation,
          batch,
          live: view?.live,
          ofKey,
          chipElsewhere: view?.chipElsewhere ?? false,
        },
        stamp.sender,
        request,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return { certificate: decision.certificate, isNew: false };
      const bytes = await context.signer.cardCertificate(decision);
      const certificate: CertificateRecord = {
        reservation: request.reservation,
        publicKey: request.publicKey,
        certificate: toHex(bytes),
        sha256: toHex(sha256(bytes)),
        revoked: false,
        supersedes: decision.supersedes !== undefined,
      };
      await transaction.insertCertificate({
        ...certificate,
        issuerPublicKey,
        station: stamp.sender,
        supersedes: decision.supersedes?.sha256 ?? null,
      });
      return { certificate, isNew: true };
    },
  );
  if (isRefusal(made)) return made;
  const { certificate, isNew } = made;
  context.log.info(isNew ? "card.attested" : "card.attestation-repeated", {
    reservation: request.reservation,
    serial: request.serial,
    certificateSha256: certificate.sha256,
    superseded: certificate.supersedes,
    sender: stamp.sender,
  });
  return {
    certificate: certificate.certificate,
    certificateSha256: certificate.sha256,
    superseded: certificate.supersedes,
  };
}

/** Closes a card's record, good or scrapped; a scrapped card's certificate is revoked with it. */
export async function close(
  context: AttestationContext,
  stamp: RequestStamp,
  request: ClosureRequest,
): Promise<ClosureAnswer | Refusal> {
  const made = await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) =>
      Promise.all([
        transaction.lockReservation(request.reservation),
        transaction.closure(request.reservation),
      ]),
    async (transaction, [view, closure]) => {
      const decision = mayClose(
        { reservation: view?.reservation, live: view?.live, closure },
        stamp.sender,
        request,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "accept") {
        await transaction.insertClosure(
          { ...request, station: stamp.sender },
          decision.revoke?.sha256 ?? null,
        );
      }
      return { isNew: decision.kind === "accept" };
    },
  );
  if (isRefusal(made)) return made;
  if (made.isNew) {
    context.log.info("card.closed", {
      reservation: request.reservation,
      outcome: request.outcome,
      reason: request.reason,
      operator: request.operator,
      sender: stamp.sender,
    });
  }
  return { reservation: request.reservation, outcome: request.outcome };
}
