/** Tells the attestation service how a card ended. */

import type { ClosureRequest } from "shared/protocol/wire/attestation.ts";
import { known } from "../../domain/personalization/exchange.ts";
import type { JournalCard } from "../../transport/journal/port.ts";
import type { StationContext } from "./context.ts";

/** The record of a card; see POST /v1/closures. */
export function closureOf(context: StationContext, card: JournalCard): ClosureRequest {
  const good = card.state === "good";
  return {
    reservation: known(card.reservation ?? undefined, "the reservation"),
    outcome: good ? "good" : "scrapped",
    reason: good ? null : (card.reason ?? "INTERNAL").slice(0, 64),
    certificateSha256: card.certificateSha256,
    packageSha256: context.packageSha256,
    operator: context.operator,
    reader: card.reader.slice(0, 128),
    apdus: card.apdus,
    startedAt: new Date(card.startedAt).toISOString(),
    finishedAt: new Date(Math.max(card.startedAt, context.clock.now())).toISOString(),
  };
}

/**
 * Tells the attestation service how a card ended. The outcome is on disk before it is told, and stays to be told when
 * the service cannot be reached.
 */
export async function closeRecord(context: StationContext, card: JournalCard): Promise<JournalCard> {
  await context.journal.flush();
  if (card.reservation !== null) await context.attestation.closeCard(closureOf(context, card));
  return context.journal.change(card.id, { closed: true });
}
