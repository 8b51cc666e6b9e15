/** A service over real parts, and a card and a station that ask it, for tests. */

import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import type { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import {
  type AttestationRequest,
  type Chip,
  type ClosureRequest,
  type CreateBatchRequest,
  PersonalizationKeySealed,
  type ReservationAnswer,
} from "shared/protocol/wire/attestation.ts";
import { freshNonce } from "shared/protocol/wire/http_signature.ts";
import { unseal } from "shared/protocol/wire/sealed.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { Database } from "shared/transport/postgres/database.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { NO_EVENT_LOG, type ServiceEventLog } from "shared/log/writer/event_log.ts";
import type { Refusal } from "factory/domain/issuance/refusals.ts";
import { LABELS } from "./backends.ts";
import { IssuanceStore } from "factory/transport/issuance_store/store.ts";
import type { RequestStamp } from "factory/transport/issuance_store/transaction.ts";
import {
  type AttestationService,
  attestationService,
} from "factory/service/attestation/attestation_service.ts";
import { certificateSigner } from "factory/service/attestation/certificate_signer.ts";
import { recordSigner } from "factory/service/attestation/record_signer.ts";
import { type ConfiguredSender, isRefusal } from "factory/service/attestation/context.ts";

/** Target ID of the tests' batches. */
export const TARGET_ID = "33400004";

/** A sender with the private halves of its keys. */
export interface TestSender {
  readonly configured: ConfiguredSender;
  readonly signingKey: JsonWebKey;
  readonly sealingKey: JsonWebKey;
}

/** Draws a sender's keys. */
export async function makeSender(name: string, role: ConfiguredSender["role"]): Promise<TestSender> {
  const signing = await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const sealing = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, [
    "deriveBits",
  ]);
  const { kty, crv, x } = await crypto.subtle.exportKey("jwk", signing.publicKey);
  const seal = await crypto.subtle.exportKey("jwk", sealing.publicKey);
  return {
    configured: {
      name,
      role,
      signingKey: { kty, crv, x },
      ...(role === "station" ? { sealingKey: { kty: seal.kty, crv: seal.crv, x: seal.x, y: seal.y } } : {}),
    },
    signingKey: await crypto.subtle.exportKey("jwk", signing.privateKey),
    sealingKey: await crypto.subtle.exportKey("jwk", sealing.privateKey),
  };
}

/** What `makeService` takes besides its parts. */
export interface ServiceOptions {
  readonly senders: readonly TestSender[];
  readonly hostCertificates?: { enabled: boolean; serialPrefix: string };
  readonly serials?: { first: number; last: number };
  /** The tamper-evident log; none otherwise. */
  readonly events?: ServiceEventLog;
  /** Lines of the log. */
  readonly write?: (line: string) => void;
}

/** A service over a migrated database and a token with both keys. */
export async function makeService(
  database: Database,
  hsm: Hsm,
  options: ServiceOptions,
): Promise<AttestationService> {
  const store = new IssuanceStore(database);
  const configured = options.senders.map((sender) => sender.configured);
  await store.enterSenders(configured);
  return attestationService({
    store,
    signer: certificateSigner(hsm, LABELS.issuer),
    records: recordSigner(hsm, LABELS.record),
    transportMaster: (input) => hsm.cmac(LABELS.transportMaster, input),
    senders: new Map(configured.map((sender) => [sender.name, sender])),
    serials: options.serials ?? { first: 1, last: 0xffffffff },
    hostCertificates: options.hostCertificates ?? { enabled: true, serialPrefix: "46" },
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    log: createLogger("test", { level: "debug", write: options.write ?? (() => {}) }),
    events: options.events ?? NO_EVENT_LOG,
  });
}

/** A new stamp of a sender. */
export function stamp(sender: TestSender): RequestStamp {
  const expiresAt = Math.floor(Date.now() / 1000) + 301;
  return { sender: sender.configured.name, nonce: freshNonce(SYSTEM_RANDOM), expiresAt };
}

/** A new stamp of a request with an Idempotency-Key. @param body what the request is, for its digest. */
export function keyedStamp(sender: TestSender, idempotencyKey: string, body: unknown): RequestStamp {
  const requestSha256 = toHex(sha256(toUtf8(JSON.stringify(body))));
  const answerExpiresAt = Math.floor(Date.now() / 1000) + 3600;
  return { ...stamp(sender), idempotencyKey, requestSha256, answerExpiresAt };
}

/** A chip that nobody has seen. */
export function freshChip(): Chip {
  return {
    cplc: toHex(SYSTEM_RANDOM(42)),
    keyDiversificationData: toHex(SYSTEM_RANDOM(10)),
  };
}

/** The facts of a batch. */
export function batchRequest(quantity: number, change: Partial<CreateBatchRequest> = {}): CreateBatchRequest {
  return {
    name: `test-${toHex(SYSTEM_RANDOM(6)).toLowerCase()}`,
    quantity,
    profileName: "test-card",
    profileSha256: "AB".repeat(32),
    targetId: TARGET_ID,
    targetDevice: "05",
    ...change,
  };
}

/** The answer, or a failed test that says which refusal came. */
export function accepted<T>(result: T | Refusal): T {
  if (isRefusal(result)) throw new Error(`Refused: ${result.reason}`);
  return result;
}

/** The reason, or `accepted`. */
export function reasonOf(result: unknown): string {
  return isRefusal(result) ? result.reason : "accepted";
}

/** What a card answers to GET PUBLIC KEY, as the request that a station makes of it. */
export async function cardAnswer(
  reservation: ReservationAnswer,
  station: TestSender,
): Promise<{ request: AttestationRequest; cardKey: Secret }> {
  const plain = PersonalizationKeySealed.parse(await unseal(reservation.sealed, station.sealingKey));
  const cardKey = generatePrivateKey(SYSTEM_RANDOM);
  const publicKey = publicKeyOf(cardKey);
  const message = cardKeyMessage(fromHex(TARGET_ID), publicKey);
  return {
    cardKey,
    request: {
      reservation: reservation.reservation,
      serial: reservation.serial,
      publicKey: toHex(publicKey),
      signature: toHex(ecdsaSign(fromHex(plain.dgi8137), message)),
      lifeCycle: 0,
    },
  };
}

/** A closure. */
export function closureOf(
  reservation: string,
  outcome: "good" | "scrapped",
  certificateSha256: string | null,
): ClosureRequest {
  return {
    reservation,
    outcome,
    reason: outcome === "good" ? null : "CARD_REMOVED",
    certificateSha256,
    packageSha256: null,
    operator: "ada",
    apdus: 61,
    startedAt: "2030-01-01T00:00:00.000Z",
    finishedAt: "2030-01-01T00:00:04.250Z",
  };
}
