/**
 * A card's certificate, in two transactions with the token between them: the checked public key is on record before the
 * token is asked, so a token that is slow or gone loses nothing, and no row is locked while it works. The certificate is
 * on record before it is told.
 */

import { toHex } from "shared/base/bytes.ts";
import type { AttestationAnswer, AttestationRequest } from "shared/protocol/wire/attestation.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { type CheckedKey, mayAttest, mayCertify } from "../../domain/issuance/attestation.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { CertificateRecord } from "../../transport/issuance_store/records.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import {
  type About,
  type AttestationContext,
  cardOf,
  type Done,
  done,
  entryOf,
  furtherPart,
  isRefusal,
  signedRequest,
} from "./context.ts";

/** What the first part came to: an answer, or a key to sign. */
type FirstPart = AttestationAnswer | { readonly sign: CheckedKey };

/** What entries say of it. */
function aboutOf({ serial }: AttestationRequest, again = false): About {
  return {
    event: again ? "attestation.card-attested-again" : "attestation.card-attested",
    subject: cardOf(serial),
  };
}

/** Checks a card's public key and answers its certificate. */
export async function attest(
  context: AttestationContext,
  stamp: RequestStamp,
  request: AttestationRequest,
): Promise<AttestationAnswer | Refusal> {
  const first = await seeKey(context, stamp, request);
  if (isRefusal(first) || !("sign" in first)) return first;
  const bytes = await context.signer.cardCertificate(first.sign);
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  return await furtherPart(
    context,
    stamp,
    async (transaction): Promise<Done<AttestationAnswer> | Refusal> => {
      // In this order: another instance may have entered the certificate of this key before the lock was given.
      const [view, ofKey] = await Promise.all([
        transaction.lockReservation(request.reservation),
        transaction.certificateOfKey(request.publicKey),
      ]);
      const decision = mayCertify(
        {
          reservation: view?.reservation,
          last: view?.last,
          ofKey,
          chipElsewhere: view?.chipElsewhere ?? false,
        },
        stamp.sender,
        request.publicKey,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return answered(context, stamp, request, decision.certificate, false);
      const certificate: CertificateRecord = {
        reservation: request.reservation,
        publicKey: request.publicKey,
        certificate: toHex(bytes),
        sha256: toHex(sha256(bytes)),
        revoked: false,
        supersedes: decision.supersedes !== undefined,
      };
      const writes = transaction.insertCertificate({
        ...certificate,
        issuerPublicKey,
        station: stamp.sender,
        supersedes: decision.supersedes?.sha256 ?? null,
      }, stamp);
      return answered(context, stamp, request, certificate, true, writes);
    },
    aboutOf(request),
  );
}

/** Enters the key, unless it has its certificate already. */
function seeKey(
  context: AttestationContext,
  stamp: RequestStamp,
  request: AttestationRequest,
): Promise<FirstPart | Refusal> {
  return signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) =>
      Promise.all([
        transaction.lockReservation(request.reservation),
        transaction.batchOfReservation(request.reservation),
        transaction.certificateOfKey(request.publicKey),
      ]),
    async (transaction, [view, batch, ofKey]): Promise<Done<FirstPart> | Refusal> => {
      const decision = mayAttest(
        {
          reservation: view?.reservation,
          batch,
          last: view?.last,
          ofKey,
          chipElsewhere: view?.chipElsewhere ?? false,
        },
        stamp.sender,
        request,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return answered(context, stamp, request, decision.certificate, false);
      if (decision.kind === "sign") return { answer: { sign: decision }, final: false };
      const revoke = view?.live?.sha256 ?? null;
      await transaction.seeKey({
        reservation: request.reservation,
        event: "see-key",
        from: decision.from,
        to: decision.to,
        by: stamp,
        publicKey: request.publicKey,
        certificateSha256: revoke,
      }, revoke);
      const log = () =>
        context.log.info("card.key-seen", {
          reservation: request.reservation,
          serial: request.serial,
          revoked: revoke,
          sender: stamp.sender,
        });
      const entries = [entryOf(stamp, aboutOf(request), "intended")];
      return { answer: { sign: decision }, final: false, log, entries };
    },
    aboutOf(request),
  );
}

function answered(
  context: AttestationContext,
  stamp: RequestStamp,
  request: AttestationRequest,
  certificate: CertificateRecord,
  isNew: boolean,
  writes?: Promise<unknown>,
): Done<AttestationAnswer> {
  return done(
    {
      certificate: certificate.certificate,
      certificateSha256: certificate.sha256,
      superseded: certificate.supersedes,
    },
    () =>
      context.log.info(isNew ? "card.attested" : "card.attestation-repeated", {
        reservation: request.reservation,
        serial: request.serial,
        certificateSha256: certificate.sha256,
        superseded: certificate.supersedes,
        sender: stamp.sender,
      }),
    [entryOf(stamp, aboutOf(request, !isNew))],
    writes,
  );
}
