/** A batch closes: what is missing is declared, what ended is signed, and one transaction makes it a whole. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import type { CloseBatchAnswer, CloseBatchRequest } from "shared/protocol/wire/batch.ts";
import { serialText } from "../../domain/batch_record/card_record.ts";
import { endedCard } from "../../domain/batch_record/ended_card.ts";
import { RunningRoot } from "../../domain/batch_record/running_root.ts";
import {
  type ClosingDecision,
  type ClosingOrder,
  mayCloseBatch,
  MISSING_WITH_CLOSING,
} from "../../domain/issuance/batch_closing.ts";
import { BATCH_FLOW } from "../../domain/issuance/batch_flow.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { BatchStatements, StoredRecord } from "../../transport/issuance_store/batch_statements.ts";
import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import type { IssuanceTransaction, RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import {
  type About,
  type AttestationContext,
  batchOf,
  type Done,
  entryOf,
  isRefusal,
  signedRequest,
} from "./context.ts";

/** Records that are read, signed and stored together: a token that makes twenty signatures a second takes five seconds. */
const SIGN_TOGETHER = 100;
/** How long one request goes on signing, in milliseconds: with what follows it is well within its deadline. */
const SIGN_MS = 2_500;
/** Cards that one transaction declares missing. */
const DECLARE_TOGETHER = 500;
/** Cards that one request declares missing at most. */
export const DECLARE_PER_REQUEST = 2000;
/** Leaves that are read together. */
const LEAVES_TOGETHER = 5_000;
/** Cards in flight that an answer lists. */
const LISTED_MAX = 100;

/**
 * Closes a batch. Many missing cards are declared first, then what ended is signed, both in steps that can be repeated: the
 * same request goes on where the one before ended, however that ended. Then one transaction, with the batch locked, declares
 * the last cards missing, signs their records and the manifest, and closes. A closed batch is answered as it is.
 */
export async function closeBatch(
  context: AttestationContext,
  stamp: RequestStamp,
  request: CloseBatchRequest,
): Promise<CloseBatchAnswer | Refusal> {
  const { batch: name, reason } = request;
  const { sender } = stamp;
  const missing = typeof request.missing === "string"
    ? request.missing
    : request.missing.map((serial) => parseInt(serial, 16));
  const about: About = { event: "attestation.batch-closed", subject: batchOf(name) };
  const order: ClosingOrder = { missing, giveUpUnused: request.giveUpUnused ?? false, reason };
  const first = await signedRequest(
    context,
    stamp,
    ["batch-manager"],
    (transaction) => transaction.batch(name, true),
    async (transaction, batch): Promise<Done<ClosingDecision> | Refusal> => {
      const decision = await decide(transaction, batch, order);
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "declare") await hold(transaction, decision.batch, sender, reason);
      const entries = decision.kind === "accept" || decision.kind === "declare"
        ? [entryOf(stamp, about, "intended")]
        : [];
      return { answer: decision, final: false, entries };
    },
    about,
  );
  if (first.kind === "refuse") return first;
  if (first.kind === "declare") {
    await declareInSteps(context, stamp, name, order);
    return await progress(context, name, order);
  }
  if (first.kind !== "accept") return await answer(context, first);
  const recordsToSign = await signEnded(context, first.batch);
  if (recordsToSign > 0) return { ...NOT_CLOSED, batch: name, recordsToSign };
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  const last = await context.store.transaction(async (transaction) => {
    const batch = await transaction.batch(name, true);
    const decision = await decide(transaction, batch, order);
    if (decision.kind === "accept") {
      await finish(context, transaction, decision.batch, order, { sender, issuerPublicKey });
      await transaction.enter(context.events, [entryOf(stamp, about)]);
    }
    return decision;
  });
  context.events.committed();
  if (isRefusal(last)) return last;
  if (last.kind === "declare") return await progress(context, name, order);
  if (last.kind === "accept") context.log.info("batch.closed", { batch: name, reason, sender });
  return await answer(context, last);
}

const NOT_CLOSED = {
  closed: false,
  inFlight: 0,
  cards: [],
  missingToDeclare: 0,
  recordsToSign: 0,
  manifest: null,
};

async function decide(
  transaction: IssuanceTransaction,
  batch: BatchRecord | undefined,
  order: ClosingOrder,
): Promise<ClosingDecision> {
  const { batches } = transaction;
  const { missing } = order;
  const inFlight = batch === undefined ? 0 : await batches.countInFlight(batch.name);
  const named = batch === undefined || typeof missing === "string"
    ? { inFlight: 0, missing: 0 }
    : await batches.countNamed(batch.name, missing);
  const { inFlight: namedInFlight, missing: namedMissing } = named;
  return mayCloseBatch({ batch, inFlight, namedInFlight, namedMissing }, order);
}

/** While cards are declared missing in steps, no new ones are taken: they would be declared missing with the others. */
async function hold(
  { batches }: IssuanceTransaction,
  { name, state }: BatchRecord,
  sender: string,
  reason: string | null,
): Promise<void> {
  if (BATCH_FLOW.next(state, "stop") === undefined) return;
  await batches.change(name, {
    event: "stop",
    from: state,
    to: "held",
    sender,
    reason: `it is being closed: ${reason}`,
    shared: [],
  });
}

/**
 * Declares cards missing, each transaction by itself, until there are few enough for the closing transaction or this
 * request has done its share. Whoever opens the batch meanwhile ends it.
 */
async function declareInSteps(
  { store, events, log }: AttestationContext,
  stamp: RequestStamp,
  name: string,
  { missing, reason }: ClosingOrder,
): Promise<void> {
  if (missing === "none") return;
  const { sender } = stamp;
  const about: About = { event: "attestation.cards-missing", subject: batchOf(name) };
  for (let declared = 0; declared < DECLARE_PER_REQUEST;) {
    const count = await store.transaction(async (transaction) => {
      const batch = await transaction.batch(name, true);
      if (batch?.state !== "held") return 0;
      const declared = await transaction.batches.declareMissing(
        name,
        missing,
        sender,
        reason ?? "",
        DECLARE_TOGETHER,
      );
      if (declared > 0) {
        const entry = entryOf(stamp, about);
        await transaction.enter(events, [{ ...entry, facts: { ...entry.facts, count: declared } }]);
      }
      return declared;
    });
    events.committed();
    if (count > 0) log.info("batch.cards-missing", { batch: name, cards: count, reason, sender });
    if (count < DECLARE_TOGETHER) return;
    declared += count;
  }
}

/** How much is left to do before the batch can be closed by this order. */
function progress(
  { store }: AttestationContext,
  name: string,
  { missing }: ClosingOrder,
): Promise<CloseBatchAnswer> {
  return store.transaction(async ({ batches }): Promise<CloseBatchAnswer> => {
    const missingToDeclare = typeof missing === "string"
      ? await batches.countInFlight(name)
      : (await batches.countNamed(name, missing)).inFlight;
    return { ...NOT_CLOSED, batch: name, missingToDeclare, recordsToSign: await batches.countUnsigned(name) };
  });
}

function answer(
  context: AttestationContext,
  decision: Exclude<ClosingDecision, Refusal | { kind: "declare" }>,
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
 * Signs records of cards that ended, for a while. Returns how many are left. Its statements are in transactions, although each stands by
 * itself: a pool that is exhausted by transactions and single statements together makes the driver fail.
 */
async function signEnded(context: AttestationContext, batch: BatchRecord): Promise<number> {
  const { store, clock } = context;
  const { name } = batch;
  const end = clock.monotonic() + SIGN_MS;
  let after = -1;
  while (clock.monotonic() < end) {
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
  { missing, reason }: ClosingOrder,
  { sender, issuerPublicKey }: { sender: string; issuerPublicKey: string },
): Promise<void> {
  const { batches } = transaction;
  const { name } = batch;
  if (missing !== "none") {
    await batches.declareMissing(name, missing, sender, reason ?? "", MISSING_WITH_CLOSING);
  }
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
