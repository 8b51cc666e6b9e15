/** Batches: created by a batch manager, read by everyone who works on them. */

import { toHex } from "shared/base/bytes.ts";
import type { BatchAnswer, CreateBatchRequest } from "shared/protocol/wire/attestation.ts";
import { serialHex } from "../../domain/issuance/serial.ts";
import { mayCreateBatch } from "../../domain/issuance/batch.ts";
import { type Refusal, refuse } from "../../domain/issuance/refusals.ts";
import { maySend } from "../../domain/issuance/sender.ts";
import type { BatchFacts, BatchStationRecord } from "../../transport/issuance_store/records.ts";
import { countsOf } from "../../transport/issuance_store/rows.ts";
import type { BatchReport } from "../../transport/issuance_store/store.ts";
import type { RequestStamp } from "../../transport/issuance_store/transaction.ts";
import { issuerPublicKeyHex } from "./certificate_signer.ts";
import { type About, type AttestationContext, batchOf, done, entryOf, signedRequest } from "./context.ts";

/** A request without limits switches both rules off. */
const NO_LIMITS = {
  scrappedInRow: null,
  yieldPercent: null,
  yieldAfterCards: 1,
  yieldWindowCards: 1,
} as const;

type StationQuota = Pick<BatchStationRecord, "station" | "quota">;

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
    ...(request.limits ?? NO_LIMITS),
  };
  const stations = (request.stations ?? []).map(({ name, quota }) => ({
    station: name,
    quota: quota ?? null,
  }));
  const about: About = { event: "attestation.batch-created", subject: batchOf(facts.name) };
  const issuerPublicKey = await issuerPublicKeyHex(context.signer);
  return await signedRequest(
    context,
    stamp,
    ["batch-manager"],
    // The allocator's lock comes first, so that the batch is read after a concurrent request has made it.
    (transaction) =>
      Promise.all([
        transaction.lockAllocator(),
        transaction.batch(facts.name, false),
        transaction.batchStations(facts.name),
      ]),
    async (transaction, [nextSerial, existing, given]) => {
      if (!stationsAreKnown(context, stations)) return refuse("ATTEST_STATION_UNKNOWN");
      if (existing !== undefined && !sameStations(given, stations)) return refuse("ATTEST_BATCH_EXISTS");
      const decision = mayCreateBatch(existing, nextSerial, context.serials, facts);
      if (decision.kind === "refuse") return decision;
      if (decision.kind === "repeat") {
        const counts = await transaction.counts(decision.batch.name);
        return done(batchAnswer({ batch: decision.batch, counts }, issuerPublicKey));
      }
      const { firstSerial, lastSerial } = decision;
      const batch = await transaction.insertBatch(
        facts,
        firstSerial,
        lastSerial,
        stamp.sender,
        request.held === true ? "held" : "open",
      );
      await transaction.insertBatchStations(batch.name, stations);
      return done(
        batchAnswer({ batch, counts: countsOf([]) }, issuerPublicKey),
        () =>
          context.log.info("batch.created", {
            batch: batch.name,
            quantity: batch.quantity,
            firstSerial: serialHex(firstSerial),
            lastSerial: serialHex(lastSerial),
            stations: stations.length,
            sender: stamp.sender,
          }),
        [entryOf(stamp, about)],
      );
    },
    about,
  );
}

/** Each is a configured station, named once. */
function stationsAreKnown(context: AttestationContext, stations: readonly { station: string }[]): boolean {
  const names = new Set(stations.map(({ station }) => station));
  return names.size === stations.length &&
    [...names].every((name) => context.senders.get(name)?.role === "station");
}

/** Whether the batch was made with the same stations and quotas; what they took since does not count. */
function sameStations(given: readonly BatchStationRecord[], asked: readonly StationQuota[]): boolean {
  const texts = (list: readonly StationQuota[]) =>
    list.map(({ station, quota }) => `${station}:${quota ?? ""}`).sort().join();
  return texts(given) === texts(asked);
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
    state: batch.state,
    counts: { ...counts },
    issuerPublicKey,
  };
}

function freshName(context: AttestationContext): string {
  const day = new Date(context.clock.now()).toISOString().slice(0, 10);
  return `batch-${day}-${toHex(context.random(4)).toLowerCase()}`;
}
