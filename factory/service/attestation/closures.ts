/** What a station reports of a card: its certificate is installed; its record is closed. */

import { codeOf } from "shared/base/errors.ts";
import type {
  ClosureAnswer,
  ClosureRequest,
  InstallationAnswer,
  InstallationRequest,
} from "shared/protocol/wire/attestation.ts";
import { mayClose } from "../../domain/issuance/closure.ts";
import { mayInstall } from "../../domain/issuance/installation.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { judgeBatch } from "./batch_life.ts";
import { serialHex } from "../../domain/issuance/serial.ts";
import {
  type About,
  type AttestationContext,
  batchOf,
  cardOf,
  type Done,
  done,
  entryOf,
  signedRequest,
} from "./context.ts";

/** What entries say of a card's installation or closing. */
function aboutOf(
  event: "attestation.card-installed" | "attestation.card-closed",
  reservation: { readonly serial: number } | undefined,
): About {
  return reservation === undefined ? { event } : { event, subject: cardOf(serialHex(reservation.serial)) };
}

/** Enters that a card holds its certificate. */
export function install(
  context: AttestationContext,
  stamp: RequestStamp,
  request: InstallationRequest,
): Promise<InstallationAnswer | Refusal> {
  const { reservation, certificateSha256, lifeCycle } = request;
  return signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) => transaction.lockReservation(reservation),
    async (transaction, view): Promise<Done<InstallationAnswer> | Refusal> => {
      const decision = mayInstall(
        { reservation: view?.reservation, live: view?.live },
        stamp.sender,
        request,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return done({ reservation, state: decision.state });
      await transaction.transition({
        reservation,
        event: "install",
        from: decision.reservation.state,
        to: "installed",
        by: stamp,
        certificateSha256,
      });
      return done(
        { reservation, state: "installed" },
        () =>
          context.log.info("card.installed", {
            reservation,
            certificateSha256,
            lifeCycle,
            sender: stamp.sender,
          }),
        [entryOf(stamp, aboutOf("attestation.card-installed", decision.reservation))],
      );
    },
    aboutOf("attestation.card-installed", undefined),
  );
}

/** Closes a card's record, good or scrapped; a scrapped card's certificate is revoked with it, and its batch judged. */
export async function close(
  context: AttestationContext,
  stamp: RequestStamp,
  request: ClosureRequest,
): Promise<ClosureAnswer | Refusal> {
  const { reservation, outcome } = request;
  let scrappedOf: string | undefined;
  const made = await signedRequest(
    context,
    stamp,
    ["station"],
    (transaction) =>
      Promise.all([transaction.lockReservation(reservation), transaction.closure(reservation)]),
    (transaction, [view, closure]): Done<ClosureAnswer> | Refusal => {
      const decision = mayClose(
        { reservation: view?.reservation, live: view?.live, closure },
        stamp.sender,
        request,
      );
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return done({ reservation, outcome });
      const writes = transaction.insertClosure(
        { ...request, station: stamp.sender },
        {
          reservation,
          event: outcome === "good" ? "close-good" : "close-scrapped",
          from: decision.reservation.state,
          to: decision.state,
          by: stamp,
          certificateSha256: view?.live?.sha256 ?? null,
          reason: request.reason,
        },
        decision.revoke?.sha256 ?? null,
      );
      scrappedOf = outcome === "scrapped" ? decision.reservation.batch : undefined;
      return done(
        { reservation, outcome },
        () =>
          context.log.info("card.closed", {
            reservation,
            outcome,
            reason: request.reason,
            operator: request.operator,
            sender: stamp.sender,
          }),
        [entryOf(stamp, aboutOf("attestation.card-closed", decision.reservation))],
        writes,
      );
    },
    aboutOf("attestation.card-closed", undefined),
  );
  if (scrappedOf !== undefined) {
    // The card's record is closed: judgement that fails is made up by the next scrapped card.
    const batch = scrappedOf;
    await judgeBatch(context, batch, stamp.sender).catch((error) => {
      context.log.warning("batch.not-judged", { batch, error });
      context.events.tell("attestation.batch-not-judged", {
        actor: { kind: "sender", identifier: stamp.sender },
        subject: batchOf(batch),
        outcome: "failed",
        reason: codeOf(error),
      });
    });
  }
  return made;
}
