/** What a batch manager reads of a batch. Each is a signed request, for what is read names chips and people. */

import type {
  BatchCardsAnswer,
  BatchCardsRequest,
  BatchRecordsAnswer,
  BatchRecordsRequest,
  BatchReportAnswer,
  BatchReportRequest,
  RecordKeyAnswer,
} from "shared/protocol/wire/batch.ts";
import { serialText } from "../../domain/batch_record/card_record.ts";
import { type Refusal, refuse } from "../../domain/issuance/refusals.ts";
import type { IssuanceTransaction, RequestStamp } from "../../transport/issuance_store/transaction.ts";
import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import { type AttestationContext, signedRequest } from "./context.ts";

/** A signed request that reads a batch. The answer is not stored for repetitions: it changes nothing. */
function read<A>(
  context: AttestationContext,
  stamp: RequestStamp,
  name: string,
  work: (transaction: IssuanceTransaction, batch: BatchRecord) => Promise<A>,
): Promise<A | Refusal> {
  return signedRequest(
    context,
    stamp,
    ["batch-manager"],
    (transaction) => transaction.batch(name, false),
    async (transaction, batch) =>
      batch === undefined
        ? refuse("ATTEST_BATCH_UNKNOWN")
        : { answer: await work(transaction, batch), final: false },
  );
}

/** Counts and history of a batch. */
export function batchReport(
  context: AttestationContext,
  stamp: RequestStamp,
  { batch: name }: BatchReportRequest,
): Promise<BatchReportAnswer | Refusal> {
  return read(context, stamp, name, async (transaction, batch): Promise<BatchReportAnswer> => {
    const { batches } = transaction;
    const groups = await batches.groups(name);
    const facts = await batches.facts(name);
    const at = facts?.at ?? new Date(context.clock.now());
    return {
      batch: name,
      state: batch.state,
      quantity: batch.quantity,
      profileName: batch.profileName,
      profileSha256: batch.profileSha256,
      firstSerial: serialText(batch.firstSerial),
      lastSerial: serialText(batch.lastSerial),
      nextSerial: batch.nextSerial > batch.lastSerial ? null : serialText(batch.nextSerial),
      limits: {
        scrappedInRow: batch.scrappedInRow,
        yieldPercent: batch.yieldPercent,
        yieldAfterCards: batch.yieldAfterCards,
        yieldWindowCards: batch.yieldWindowCards,
      },
      createdAt: (facts?.createdAt ?? at).toISOString(),
      at: at.toISOString(),
      groups: groups.map((row) => ({
        station: row.station,
        state: row.state,
        reason: row.reason,
        cards: row.cards,
        lastHour: row.last_hour,
        firstReservedAt: row.first_reserved_at.toISOString(),
        lastClosedAt: row.last_closed_at?.toISOString() ?? null,
      })),
      stations: (await transaction.batchStations(name)).map(({ station, quota, reserved }) => ({
        name: station,
        quota,
        reserved,
      })),
      journal: (await batches.journal(name)).map((row) => ({
        event: row.event,
        state: row.to_state,
        sender: row.sender,
        reason: row.reason,
        shared: row.shared?.split("\n") ?? [],
        at: row.recorded_at.toISOString(),
      })),
      recordsSigned: facts?.recordsSigned ?? 0,
      manifest: await batches.manifest(name) ?? null,
    };
  });
}

const behind = (serial: string | null) => serial === null ? -1 : parseInt(serial, 16);

/** A page of a batch's cards. */
export function batchCards(
  context: AttestationContext,
  stamp: RequestStamp,
  { batch, after, limit, inFlight }: BatchCardsRequest,
): Promise<BatchCardsAnswer | Refusal> {
  return read(context, stamp, batch, async ({ batches }) => ({
    cards: await batches.cards(batch, behind(after), limit, inFlight),
  }));
}

/** A page of a batch's signed records. */
export function batchRecords(
  context: AttestationContext,
  stamp: RequestStamp,
  { batch, after, limit }: BatchRecordsRequest,
): Promise<BatchRecordsAnswer | Refusal> {
  return read(context, stamp, batch, async ({ batches }) => ({
    records: (await batches.records(batch, behind(after), limit)).map(({ serial, record }) => ({
      serial: serialText(serial),
      record,
    })),
  }));
}

/** The key that records are signed with. */
export async function recordKey(
  context: AttestationContext,
  stamp: RequestStamp,
): Promise<RecordKeyAnswer | Refusal> {
  const { jwk, thumbprint } = await context.records.publicKey();
  return await signedRequest(
    context,
    stamp,
    ["batch-manager"],
    () => Promise.resolve(),
    () => Promise.resolve({ answer: { jwk, thumbprint }, final: false }),
  );
}
