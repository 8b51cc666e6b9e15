/** A serial for a chip. */

import { toHex } from "shared/base/bytes.ts";
import { generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type {
  PersonalizationKeySealed,
  ReservationAnswer,
  ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import { serialHex } from "../../domain/issuance/serial.ts";
import { chipIdentity } from "../../domain/issuance/chip.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import { mayReserve } from "../../domain/issuance/reservation.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type AttestationContext, cardOf, done, entryOf, signedRequest } from "./context.ts";
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
    const { key, parts } = chipIdentity(chip, false);
    // Beside the transaction: the batch is not locked while this is calculated. Whoever may not reserve is refused for that
    // reason, so a failure waits until there is something to answer.
    const plain: PersonalizationKeySealed = { dgi8137: toHex(privateKey.reveal()) };
    const sealing = sealForStation(context, stamp.sender, plain);
    sealing.catch(() => {});
    const answered = (
      sealed: string,
      id: string,
      number: number,
      again: boolean,
      writes: Promise<unknown>,
    ) => {
      const serial = serialHex(number);
      const answer = { reservation: id, serial, issuerPublicKey, sealed, again };
      return done<ReservationAnswer>(
        answer,
        () =>
          context.log.info("card.reserved", {
            batch: request.batch,
            reservation: id,
            serial,
            again,
            sender: stamp.sender,
          }),
        [entryOf(stamp, { event: "attestation.card-reserved", subject: cardOf(serial) })],
        writes,
      );
    };
    return await signedRequest(
      context,
      stamp,
      ["station"],
      (transaction) =>
        Promise.all([
          transaction.batch(request.batch, true),
          transaction.batchStations(request.batch),
          transaction.lockReservationOfChip(request.batch, key),
          transaction.chipElsewhere(request.batch, key, parts),
        ]),
      async (transaction, [batch, stations, mine, elsewhere]) => {
        const identity = chipIdentity(chip, batch?.anonymousChips ?? false);
        const decision = mayReserve({ batch, stations, mine, chip: elsewhere }, identity, stamp.sender);
        if (decision.kind === "refuse") return decision;
        const sealed = await sealing;
        if (decision.kind === "again") {
          const { reservation, state } = decision;
          const writes = transaction.reserveAgain({
            reservation: reservation.id,
            event: "reserve-again",
            from: reservation.state,
            to: state,
            by: stamp,
          }, personalizationKey);
          return answered(sealed, reservation.id, reservation.serial, true, writes);
        }
        const id = crypto.randomUUID();
        const writes = transaction.insertReservation({
          id,
          batch: decision.batch.name,
          station: stamp.sender,
          serial: decision.serial,
          chipKey: identity.key,
          chipDistinct: identity.distinct,
          cplc: chip.cplc,
          keyDiversificationData: chip.keyDiversificationData,
          chipParts: identity.parts,
          personalizationKey,
        }, stamp.requestSha256);
        return answered(sealed, id, decision.serial, false, writes);
      },
      { event: "attestation.card-reserved" },
    );
  } finally {
    privateKey.wipe();
  }
}
