/** The attestation service as one value: its operations over one context. */

import type {
  AttestationAnswer,
  AttestationRequest,
  BatchAnswer,
  CardKeysAnswer,
  CardKeysRequest,
  ClosureAnswer,
  ClosureRequest,
  CreateBatchRequest,
  HostCertificateAnswer,
  HostCertificateRequest,
  InstallationAnswer,
  InstallationRequest,
  ReservationAnswer,
  ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import type {
  BatchCardsAnswer,
  BatchCardsRequest,
  BatchRecordsAnswer,
  BatchRecordsRequest,
  BatchReportAnswer,
  BatchReportRequest,
  CloseBatchAnswer,
  CloseBatchRequest,
  OpenBatchAnswer,
  OpenBatchRequest,
  RecordKeyAnswer,
} from "shared/protocol/wire/batch.ts";
import type { Refusal } from "../../domain/issuance/refusals.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { closeBatch } from "./batch_closings.ts";
import { openBatch } from "./batch_life.ts";
import { batchCards, batchRecords, batchReport, recordKey } from "./batch_reading.ts";
import { createBatch, readBatch } from "./batches.ts";
import { cardKeys } from "./card_keys.ts";
import { attest } from "./attestations.ts";
import { close, install } from "./closures.ts";
import type { PublishedList } from "../../transport/issuance_store/records.ts";
import { revocationList } from "./revocations.ts";
import { reserve } from "./reservations.ts";
import type { AttestationContext } from "./context.ts";
import { hostCertificate } from "./host_certificates.ts";

/** Operations; each answers, or refuses as a value. A throw is a fault and has changed nothing. */
export interface AttestationService {
  createBatch(stamp: RequestStamp, request: CreateBatchRequest): Promise<BatchAnswer | Refusal>;
  readBatch(reader: string, name: string): Promise<BatchAnswer | Refusal>;
  openBatch(stamp: RequestStamp, request: OpenBatchRequest): Promise<OpenBatchAnswer | Refusal>;
  closeBatch(stamp: RequestStamp, request: CloseBatchRequest): Promise<CloseBatchAnswer | Refusal>;
  batchReport(stamp: RequestStamp, request: BatchReportRequest): Promise<BatchReportAnswer | Refusal>;
  batchCards(stamp: RequestStamp, request: BatchCardsRequest): Promise<BatchCardsAnswer | Refusal>;
  batchRecords(stamp: RequestStamp, request: BatchRecordsRequest): Promise<BatchRecordsAnswer | Refusal>;
  recordKey(stamp: RequestStamp): Promise<RecordKeyAnswer | Refusal>;
  cardKeys(stamp: RequestStamp, request: CardKeysRequest): Promise<CardKeysAnswer | Refusal>;
  reserve(stamp: RequestStamp, request: ReservationRequest): Promise<ReservationAnswer | Refusal>;
  attest(stamp: RequestStamp, request: AttestationRequest): Promise<AttestationAnswer | Refusal>;
  install(stamp: RequestStamp, request: InstallationRequest): Promise<InstallationAnswer | Refusal>;
  close(stamp: RequestStamp, request: ClosureRequest): Promise<ClosureAnswer | Refusal>;
  /** The signed list of revoked certificates: public. */
  revocations(): Promise<PublishedList>;
  hostCertificate(
    stamp: RequestStamp,
    request: HostCertificateRequest,
  ): Promise<HostCertificateAnswer | Refusal>;
}

/** Binds the operations to a context. */
export function attestationService(context: AttestationContext): AttestationService {
  return {
    createBatch: (stamp, request) => createBatch(context, stamp, request),
    readBatch: (reader, name) => readBatch(context, reader, name),
    openBatch: (stamp, request) => openBatch(context, stamp, request),
    closeBatch: (stamp, request) => closeBatch(context, stamp, request),
    batchReport: (stamp, request) => batchReport(context, stamp, request),
    batchCards: (stamp, request) => batchCards(context, stamp, request),
    batchRecords: (stamp, request) => batchRecords(context, stamp, request),
    recordKey: (stamp) => recordKey(context, stamp),
    cardKeys: (stamp, request) => cardKeys(context, stamp, request),
    reserve: (stamp, request) => reserve(context, stamp, request),
    attest: (stamp, request) => attest(context, stamp, request),
    install: (stamp, request) => install(context, stamp, request),
    revocations: () => revocationList(context),
    close: (stamp, request) => close(context, stamp, request),
    hostCertificate: (stamp, request) => hostCertificate(context, stamp, request),
  };
}
