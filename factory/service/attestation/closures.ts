/** What a station reports of a card: its certificate is installed; its record is closed. */

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
import { type AttestationContext, type Done, done, signedRequest } from "./context.ts";

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
      );
    },
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
      return done({ reservation, outcome }, () =>
        context.log.info("card.closed", {
          reservation,
          outcome,
          reason: request.reason,
          operator: request.operator,
          sender: stamp.sender,
        }), writes);
    },
  );
  if (scrappedOf !== undefined) {
    // The card's record is closed: judgement that fails is made up by the next scrapped card.
    await judgeBatch(context, scrappedOf, stamp.sender).catch((error) =>
      context.log.warning("batch.not-judged", { batch: scrappedOf, error })
    );
  }
  return made;
}
