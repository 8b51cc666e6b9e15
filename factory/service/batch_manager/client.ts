/** The attestation service as a batch manager sees it, beyond creating batches. */

import {
  BATCH_ANSWER_MAX_BYTES,
  BATCH_PAGE_MAX,
  type BatchCard,
  BatchCardsAnswer,
  BatchRecordsAnswer,
  BatchReportAnswer,
  CloseBatchAnswer,
  type CloseBatchRequest,
  OpenBatchAnswer,
  type OpenBatchRequest,
  RecordKeyAnswer,
} from "shared/protocol/wire/batch.ts";
import type { AttestationClient } from "../station/attestation_client.ts";

/** Requests of a batch manager. Each throws the problem that the service answers, or `ATTESTATION_UNREACHABLE`. */
export class BatchManagerClient {
  readonly #client: AttestationClient;

  constructor(client: AttestationClient) {
    this.#client = client;
  }

  /** Lets a held batch go on. */
  open(request: OpenBatchRequest): Promise<OpenBatchAnswer> {
    return this.#client.post("/v1/batch-openings", request, OpenBatchAnswer);
  }

  /**
   * Closes a batch, repeating the request while there are cards to declare missing or records to sign.
   * @param progress told what is left.
   */
  async close(
    request: CloseBatchRequest,
    progress: (left: Pick<CloseBatchAnswer, "missingToDeclare" | "recordsToSign">) => void,
  ): Promise<CloseBatchAnswer> {
    let before = Infinity;
    for (;;) {
      const answer = await this.#client.post("/v1/batch-closings", request, CloseBatchAnswer);
      // A card that is declared missing becomes a record to sign, so it counts for two.
      const left = 2 * answer.missingToDeclare + answer.recordsToSign;
      // A service that does nothing would be asked for ever: the answer then says how many are left.
      if (left === 0 || left >= before) return answer;
      before = left;
      progress(answer);
    }
  }

  /** Counts and history of a batch. */
  report(batch: string): Promise<BatchReportAnswer> {
    return this.#client.post("/v1/batch-reports", { batch }, BatchReportAnswer);
  }

  /** Every card of a batch in the order of their serials, page by page. @param inFlight those that have not ended. */
  async *cards(batch: string, inFlight = false): AsyncGenerator<BatchCard> {
    for (let after: string | null = null;;) {
      const request = { batch, after, limit: BATCH_PAGE_MAX, inFlight };
      const page: BatchCardsAnswer = await this.#client.post(
        "/v1/batch-cards",
        request,
        BatchCardsAnswer,
        BATCH_ANSWER_MAX_BYTES,
      );
      yield* page.cards;
      if (page.cards.length < BATCH_PAGE_MAX) return;
      after = page.cards.at(-1)!.serial;
    }
  }

  /** Every signed record of a closed batch in the order of their serials, page by page. */
  async *records(batch: string): AsyncGenerator<string> {
    for (let after: string | null = null;;) {
      const request = { batch, after, limit: BATCH_PAGE_MAX };
      const page: BatchRecordsAnswer = await this.#client.post(
        "/v1/batch-records",
        request,
        BatchRecordsAnswer,
        BATCH_ANSWER_MAX_BYTES,
      );
      for (const { record } of page.records) yield record;
      if (page.records.length < BATCH_PAGE_MAX) return;
      after = page.records.at(-1)!.serial;
    }
  }

  /** The public key that records are signed with. */
  recordKey(): Promise<RecordKeyAnswer> {
    return this.#client.post("/v1/record-keys", {}, RecordKeyAnswer);
  }
}
