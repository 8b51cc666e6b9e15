/** Batches: created by a batch manager, read by everyone who works on them. */

import { toHex } from "shared/base/bytes.ts";
import type { BatchAnswer, CreateBatchRequest } from "shared/protocol/wire/attestation.ts";
import { serialHex } from "../../domain/issuance/attestation.ts";
import { mayCreateBatch } from "../../domain/issuance/batch.ts";
import { type Refusal, refuse } from "../../domain/issuance/refusals.ts";
import { maySend } from "../../domain/issuance/sender.ts";
import type { BatchFacts } from "../../transport/issuance_store/records.ts";
import type { BatchReport } from "../../transport/issuance_store/store.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type AttestationContext, isRefusal, signedRequest } from "./context.ts";

const NO_CARDS = { reserved: 0, attested: 0, good: 0, scrapped: 0 } as const;

/** Creates a batch with a serial range of its own. The same request again, by name, answers the same batch. */
export async function createBatch(
  context: AttestationContext,
  stamp: RequestStamp,
  request: CreateBatchRequest,
): Promise<BatchAnswer | Refusal> {
  const facts: BatchFacts = {
    name: request.name ?? freshName(context),
    quantity: request.quantity,
    profileName: request.profileName,
    profileSha256: request.profileSha256,
    targetId: request.targetId,
    targetDevice: request.targetDevice,
    anonymousChips: request.anonymousChips ?? false,
  };
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const made = await signedRequest(
    context,
    stamp,
    ["batch-manager"],
    // The allocator's lock comes first, so that the batch is read after a concurrent request has made it.
    (transaction) => Promise.all([transaction.lockAllocator(), transaction.batch(facts.name, false)]),
    async (transaction, [nextSerial, existing]) => {
      const decision = mayCreateBatch(existing, nextSerial, context.serials, facts);
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") return { batch: decision.batch, isNew: false };
      const { firstSerial, lastSerial } = decision;
      const batch = await transaction.insertBatch(facts, firstSerial, lastSerial, stamp.sender);
      return { batch, isNew: true };
    },
  );
  if (isRefusal(made)) return made;
  if (made.isNew) {
    context.log.info("batch.created", {
      batch: made.batch.name,
      quantity: made.batch.quantity,
      firstSerial: serialHex(made.batch.firstSerial),
      lastSerial: serialHex(made.batch.lastSerial),
      sender: stamp.sender,
    });
  }
  const counts = made.isNew ? NO_CARDS : await context.store.counts(made.batch.name);
  return batchAnswer({ batch: made.batch, counts }, issuerPublicKey);
}

/** A batch and how far it is. The request is not signed: it changes nothing; the identity is the connection's. */
export async function readBatch(
  context: AttestationContext,
  reader: string,
  name: string,
): Promise<BatchAnswer | Refusal> {
  const [sender, report, issuerPublicKey] = await Promise.all([
    context.store.sender(reader),
    context.store.batchReport(name),
    issuerPublicKeyHex(context.signer),
  ]);
  const allowed = maySend(sender, true, ["batch-manager", "station"]);
  if (allowed.kind === "refuse") return allowed;
  return report === undefined ? refuse("ATTEST_BATCH_UNKNOWN") : batchAnswer(report, issuerPublicKey);
}

function batchAnswer({ batch, counts }: BatchReport, issuerPublicKey: string): BatchAnswer {
  const done = counts.good + counts.scrapped === batch.quantity;
  return {
    batch: batch.name,
    quantity: batch.quantity,
    profileName: batch.profileName,
    profileSha256: batch.profileSha256,
    targetId: batch.targetId,
    targetDevice: batch.targetDevice,
    ...(batch.anonymousChips ? { anonymousChips: true } : {}),
    firstSerial: serialHex(batch.firstSerial),
    lastSerial: serialHex(batch.lastSerial),
    state: batch.closed || done ? "closed" : "open",
    counts: { ...counts },
    issuerPublicKey,
  };
}

function freshName(context: AttestationContext): string {
  const day = new Date(context.clock.now()).toISOString().slice(0, 10);
  return `batch-${day}-${toHex(context.random(4)).toLowerCase()}`;
}
