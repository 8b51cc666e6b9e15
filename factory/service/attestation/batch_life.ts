/** A batch opens, stops by itself and closes. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import type {
  CloseBatchAnswer,
  CloseBatchRequest,
  OpenBatchAnswer,
  OpenBatchRequest,
} from "shared/protocol/wire/batch.ts";
import { serialText } from "../../domain/batch_record/card_record.ts";
import { endedCard } from "../../domain/batch_record/ended_card.ts";
import { RunningRoot } from "../../domain/batch_record/running_root.ts";
import {
  type ClosingDecision,
  type DeclaredMissing,
  mayCloseBatch,
} from "../../domain/issuance/batch_closing.ts";
import { BATCH_FLOW } from "../../domain/issuance/batch_flow.ts";
import { type Refusal, refuse } from "../../domain/issuance/refusals.ts";
import { judgedCard } from "../../domain/judgement/judged_row.ts";
import { cardsToKeep, judge } from "../../domain/judgement/judgement.ts";
import { describeShared, sharedTraits } from "../../domain/judgement/shared_traits.ts";
import type { BatchStatements, StoredRecord } from "../../transport/issuance_store/batch_statements.ts";
import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import type { IssuanceTransaction, RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import {
  type About,
  type AttestationContext,
  batchOf,
  type Done,
  done,
  entryOf,
  isRefusal,
  signedRequest,
} from "./context.ts";

/** Records that are read, signed and stored together. */
const SIGN_TOGETHER = 200;
/** Records that one request signs at most: within its deadline even at a hundred signatures a second. */
export const SIGN_PER_REQUEST = 600;
/** Leaves that are read together. */
const LEAVES_TOGETHER = 10_000;
/** Cards in flight that an answer lists. */
const LISTED_MAX = 100;

/** Lets a held batch go on; judgement begins anew. */
export function openBatch(
  context: AttestationContext,
  stamp: RequestStamp,
  { batch: name, reason }: OpenBatchRequest,
): Promise<OpenBatchAnswer | Refusal> {
  const about: About = { event: "attestation.batch-opened", subject: batchOf(name) };
  return signedRequest(
    context,
    stamp,
    ["batch-manager"],
    (transaction) => transaction.batch(name, true),
    async (transaction, batch): Promise<Done<OpenBatchAnswer> | Refusal> => {
      if (batch === undefined) return refuse("ATTEST_BATCH_UNKNOWN");
      if (BATCH_FLOW.next(batch.state, "open") === undefined) {
        return refuse(batch.closed ? "ATTEST_BATCH_CLOSED" : "ATTEST_BATCH_NOT_HELD");
      }
      const { sender } = stamp;
      await transaction.batches.change(name, {
        event: "open",
        from: "held",
        to: "open",
        sender,
        reason,
        shared: [],
      });
      return done(
        { batch: name, state: "open" },
        () => context.log.info("batch.opened", { batch: name, reason, sender }),
        [entryOf(stamp, about)],
      );
    },
    about,
  );
}

/**
 * Judges a batch after a card of it was scrapped, in a transaction of its own: the closing of the card does not wait for the
 * batch's row, and stands whatever comes of this.
 * @param sender the station whose card it was.
 */
export async function judgeBatch(context: AttestationContext, name: string, sender: string): Promise<void> {
  const stopped = await context.store.transaction(async (transaction) => {
    const batch = await transaction.batch(name, true);
    if (batch === undefined || BATCH_FLOW.next(batch.state, "stop") === undefined) return undefined;
    const rows = await transaction.batches.judged(name, cardsToKeep(batch));
    const verdict = judge(batch, rows.map(judgedCard));
    if (verdict.kind === "go") return undefined;
    const shared = sharedTraits(verdict.failures, verdict.others).map(describeShared);
    const { reason } = verdict;
    await transaction.batches.change(name, {
      event: "stop",
      from: "open",
      to: "held",
      sender,
      reason,
      shared,
    });
    await transaction.enter(context.events, [{
      event: "attestation.batch-stopped",
      facts: { actor: { kind: "sender", identifier: sender }, subject: batchOf(name), reason: verdict.code },
    }]);
    return { code: verdict.code, reason, shared };
  });
  context.events.committed();
  if (stopped) context.log.warning("batch.stopped", { batch: name, ...stopped });
}

/**
 * Closes a batch. What ended is signed first, in steps that can be repeated: a record that is signed does not change, and
 * says nothing that the journal does not. Then one transaction, with the batch locked, declares cards missing, signs their
 * records and the manifest, and closes. A closed batch is answered as it is.
 */
export async function closeBatch(
  context: AttestationContext,
  stamp: RequestStamp,
  request: CloseBatchRequest,
): Promise<CloseBatchAnswer | Refusal> {
  const { batch: name, reason } = request;
  const missing = typeof request.missing === "string"
    ? request.missing
    : request.missing.map((serial) => parseInt(serial, 16));
  const about: About = { event: "attestation.batch-closed", subject: batchOf(name) };
  const first = await signedRequest(
    context,
    stamp,
    ["batch-manager"],
    (transaction) => transaction.batch(name, false),
    async (transaction, batch): Promise<Done<ClosingDecision> | Refusal> => {
      const decision = await decide(transaction, batch, missing, reason);
      if (decision.kind === "refuse") return decision;
      const entries = decision.kind === "accept" ? [entryOf(stamp, about, "intended")] : [];
      return { answer: decision, final: false, entries };
    },
    about,
  );
  if (first.kind === "refuse") return first;
  if (first.kind !== "accept") return await answer(context, first);
  const recordsToSign = await signEnded(context, first.batch, SIGN_PER_REQUEST);
  if (recordsToSign > 0) return { ...NOT_CLOSED, batch: name, recordsToSign };
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const last = await context.store.transaction(async (transaction) => {
    const batch = await transaction.batch(name, true);
    const decision = await decide(transaction, batch, missing, reason);
    if (decision.kind !== "accept") return decision;
    await finish(context, transaction, decision.batch, {
      missing,
      reason,
      sender: stamp.sender,
      issuerPublicKey,
    });
    await transaction.enter(context.events, [entryOf(stamp, about)]);
    return decision;
  });
  context.events.committed();
  if (isRefusal(last)) return last;
  if (last.kind === "accept") context.log.info("batch.closed", { batch: name, reason, sender: stamp.sender });
  return await answer(context, last);
}

const NOT_CLOSED = { closed: false, inFlight: 0, cards: [], recordsToSign: 0, manifest: null };

async function decide(
  transaction: IssuanceTransaction,
  batch: BatchRecord | undefined,
  missing: DeclaredMissing,
  reason: string | null,
): Promise<ClosingDecision> {
  const { batches } = transaction;
  const inFlight = batch === undefined ? 0 : await batches.countInFlight(batch.name);
  const namedInFlight = batch === undefined || typeof missing === "string"
    ? 0
    : await batches.countNamedInFlight(batch.name, missing);
  return mayCloseBatch({ batch, inFlight, namedInFlight }, missing, reason);
}

function answer(
  context: AttestationContext,
  decision: Exclude<ClosingDecision, Refusal>,
): Promise<CloseBatchAnswer> {
  const { name } = decision.batch;
  return context.store.transaction(async ({ batches }): Promise<CloseBatchAnswer> => {
    if (decision.kind !== "wait") {
      return { ...NOT_CLOSED, batch: name, closed: true, manifest: await batches.manifest(name) ?? null };
    }
    const cards = await batches.cards(name, -1, LISTED_MAX, true);
    return { ...NOT_CLOSED, batch: name, inFlight: await batches.countInFlight(name), cards };
  });
}

/**
 * Signs records of cards that ended. Returns how many are left. Its statements are in transactions, although each stands by
 * itself: a pool that is exhausted by transactions and single statements together makes the driver fail.
 */
async function signEnded(context: AttestationContext, batch: BatchRecord, limit: number): Promise<number> {
  const { store } = context;
  const { name } = batch;
  let after = -1;
  for (let signed = 0; signed < limit; signed += SIGN_TOGETHER) {
    const behind = after;
    const rows = await store.transaction(({ batches }) => batches.unsigned(name, behind, SIGN_TOGETHER));
    if (rows.length === 0) return 0;
    const records = await signRecords(context, batch, rows);
    await store.transaction(({ batches }) => batches.insertRecords(name, records));
    after = Number(rows.at(-1)!.serial);
  }
  return await store.transaction(({ batches }) => batches.countUnsigned(name));
}

async function signRecords(
  context: AttestationContext,
  batch: BatchRecord,
  rows: Awaited<ReturnType<BatchStatements["unsigned"]>>,
): Promise<StoredRecord[]> {
  return await Promise.all(rows.map(async (row): Promise<StoredRecord> => {
    const { reservation, serial, record } = endedCard(row, batch);
    const { jws, leaf } = await context.records.card(record);
    return { serial, reservation, outcome: record.outcome, record: jws, leafSha256: toHex(leaf) };
  }));
}

/** Within the transaction that closes: what is missing, the tree, the manifest, the state. */
async function finish(
  context: AttestationContext,
  transaction: IssuanceTransaction,
  batch: BatchRecord,
  by: { missing: DeclaredMissing; reason: string | null; sender: string; issuerPublicKey: string },
): Promise<void> {
  const { batches } = transaction;
  const { name } = batch;
  const { missing, reason, sender, issuerPublicKey } = by;
  if (missing !== "none") await batches.declareMissing(name, missing, sender, reason ?? "");
  // A card that ended since the records were signed is among these.
  for (let after = -1;;) {
    const rows = await batches.unsigned(name, after, SIGN_TOGETHER);
    if (rows.length === 0) break;
    await batches.insertRecords(name, await signRecords(context, batch, rows));
    after = Number(rows.at(-1)!.serial);
  }
  const root = new RunningRoot();
  const counts = { good: 0, scrapped: 0, missing: 0 };
  for (let after = -1;;) {
    const leaves = await batches.leaves(name, after, LEAVES_TOGETHER);
    if (leaves.length === 0) break;
    for (const { outcome, leafSha256 } of leaves) {
      root.add(fromHex(leafSha256));
      counts[outcome]++;
    }
    after = leaves.at(-1)!.serial;
  }
  const unused = batch.lastSerial - batch.nextSerial + 1;
  const closedAt = new Date(context.clock.now()).toISOString();
  const rootSha256 = toHex(root.root());
  const manifest = await context.records.manifest({
    version: 1,
    batch: name,
    profile: { name: batch.profileName, sha256: batch.profileSha256 },
    quantity: batch.quantity,
    firstSerial: serialText(batch.firstSerial),
    lastSerial: serialText(batch.lastSerial),
    totals: { reserved: root.size, ...counts },
    unused: unused === 0 ? null : {
      firstSerial: serialText(batch.nextSerial),
      lastSerial: serialText(batch.lastSerial),
      cards: unused,
    },
    tree: { size: root.size, rootSha256 },
    issuerPublicKey,
    closedAt,
    closedBy: sender,
    reason,
  });
  await batches.insertManifest(name, {
    manifest,
    rootSha256,
    reserved: root.size,
    ...counts,
    unused,
    closedAt,
  });
  await batches.change(name, { event: "close", from: batch.state, to: "closed", sender, reason, shared: [] });
}
