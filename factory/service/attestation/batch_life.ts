/** A batch opens, and stops by itself. How it closes: `batch_closings.ts`. */

import type { OpenBatchAnswer, OpenBatchRequest } from "shared/protocol/wire/batch.ts";
import { BATCH_FLOW } from "../../domain/issuance/batch_flow.ts";
import { type Refusal, refuse } from "../../domain/issuance/refusals.ts";
import { judgedCard } from "../../domain/judgement/judged_row.ts";
import { cardsToKeep, judge } from "../../domain/judgement/judgement.ts";
import { describeShared, sharedTraits } from "../../domain/judgement/shared_traits.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import {
  type About,
  type AttestationContext,
  batchOf,
  type Done,
  done,
  entryOf,
  signedRequest,
} from "./context.ts";

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
