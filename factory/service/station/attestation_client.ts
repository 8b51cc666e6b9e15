/**
 * The attestation service as a station or a batch manager sees it: HTTPS with a client certificate through either of
 * two gateways, bodies signed (RFC 9421), secrets unsealed (JWE), answers checked with the schemas of the wire.
 *
 * Every request is safe to repeat: it has an Idempotency-Key of its own, each attempt is signed anew, and the service
 * answers a repetition as it answered the first. So a gateway that is gone, or says 502, 503 or 504, costs one more attempt at
 * the other one and nothing else.
 */

import type { z } from "zod";
import { fromHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import {
  AttestationAnswer,
  type AttestationRequest,
  BatchAnswer,
  CardKeysAnswer,
  type CardKeysRequest,
  CardKeysSealed,
  ClosureAnswer,
  type ClosureRequest,
  type CreateBatchRequest,
  HostCertificateAnswer,
  type HostCertificateRequest,
  InstallationAnswer,
  type InstallationRequest,
  PersonalizationKeySealed,
  ReservationAnswer,
  type ReservationRequest,
} from "shared/protocol/wire/attestation.ts";
import { freshNonce, signRequest } from "shared/protocol/wire/http_signature.ts";
import { Problem } from "shared/protocol/wire/problem.ts";
import { unseal } from "shared/protocol/wire/sealed.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { type HttpAnswer, HttpsExchange, StaleConnection } from "shared/transport/https_exchange.ts";
import { ServiceClock } from "./service_clock.ts";

/** Attempts for one request, over both gateways. */
export const ATTEMPTS_MAX = 8;
/** Wait after both gateways failed, doubled each round, in milliseconds. */
export const BACKOFF_MS = 100;
/** Longest Retry-After that is obeyed, in seconds. */
export const RETRY_AFTER_MAX_SECONDS = 5;
const RETRIABLE_STATUS = new Set([429, 502, 503, 504]);

/** A serial for a chip, unsealed. */
export interface Reservation {
  readonly reservation: string;
  /** 4 bytes. */
  readonly serial: Uint8Array;
  /** 65 bytes. */
  readonly issuerPublicKey: Uint8Array;
  /** DGI 8137: the private key (32 bytes) that signs the card's public key. The caller wipes it. */
  readonly personalizationKey: Secret;
  readonly again: boolean;
}

/** What a station needs of the attestation service. */
export interface AttestationPort {
  /** Facts and counts of a batch. */
  batch(name: string): Promise<BatchAnswer>;
  /** Transport keys of one card, diversified in the HSM. The caller wipes them. */
  cardKeys(request: CardKeysRequest): Promise<StaticKeys>;
  /** A serial and a fresh DGI 8137 key. */
  reserve(request: ReservationRequest): Promise<Reservation>;
  /** The certificate of a card's key. */
  attest(request: AttestationRequest): Promise<AttestationAnswer>;
  /** Reports that a card holds its certificate. */
  install(request: InstallationRequest): Promise<InstallationAnswer>;
  /** Closes a card's record. */
  closeCard(request: ClosureRequest): Promise<ClosureAnswer>;
  /** A host certificate for the station's test wallet. */
  hostCertificate(request: HostCertificateRequest): Promise<HostCertificateAnswer>;
  /** Closes the connections. */
  close(): void;
}

/** How to reach the service. */
export interface AttestationClientOptions {
  /** Base addresses, `https://host:port`; the first one that works is kept. */
  readonly gateways: readonly string[];
  /** PEM texts: authorities of the gateways' certificates, our certificate and its key. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  /** The sender's name: the station's or the batch manager's. */
  readonly name: string;
  /** Ed25519 private JWK. */
  readonly signingKey: JsonWebKey;
  /** P-256 private JWK; batch managers have none. */
  readonly sealingKey?: JsonWebKey;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Told of every failed attempt and of every change of gateway. */
  readonly onFailover?: (event: { gateway: string; reason: string }) => void;
  /** Told once when this clock and the service's differ by much. */
  readonly onClockDifference?: (words: string) => void;
}

/** The client; see the module's comment. */
export class AttestationClient implements AttestationPort {
  readonly #options: AttestationClientOptions;
  readonly #gateways: readonly URL[];
  readonly #https: HttpsExchange;
  readonly #clock = new ServiceClock();
  #current = 0;

  /** Nothing is connected until the first request. @throws {CodedError} `ATTESTATION_CONFIGURATION`. */
  constructor(options: AttestationClientOptions) {
    this.#options = options;
    this.#gateways = options.gateways.map((address) => {
      const url = URL.canParse(address) ? new URL(address) : undefined;
      if (url?.protocol !== "https:") {
        throw new CodedError(
          "ATTESTATION_CONFIGURATION",
          `Cannot use gateway ${address}: it is no https address`,
        );
      }
      return url;
    });
    if (this.#gateways.length === 0) {
      throw new CodedError(
        "ATTESTATION_CONFIGURATION",
        "Cannot reach the attestation service: no gateway is given",
      );
    }
    this.#https = new HttpsExchange(options.tls);
  }

  /** Creates a batch (batch managers). */
  createBatch(request: CreateBatchRequest): Promise<BatchAnswer> {
    return this.#call("POST", "/v1/batches", request, BatchAnswer);
  }

  /**
   * Any other signed request.
   * @param answerMaxBytes longest answer that is taken.
   */
  post<T>(path: string, request: unknown, schema: z.ZodType<T>, answerMaxBytes?: number): Promise<T> {
    return this.#call("POST", path, request, schema, answerMaxBytes);
  }

  batch(name: string): Promise<BatchAnswer> {
    return this.#call("GET", `/v1/batches/${encodeURIComponent(name)}`, undefined, BatchAnswer);
  }

  async cardKeys(request: CardKeysRequest): Promise<StaticKeys> {
    const { sealed } = await this.#call("POST", "/v1/card-keys", request, CardKeysAnswer);
    const keys = await this.#unseal(sealed, CardKeysSealed);
    const lengthHex = 2 * request.keyLengthBytes;
    if ([keys.enc, keys.mac, keys.dek].some((key) => key.length !== lengthHex)) {
      throw new CodedError("ATTESTATION_ANSWER", "Cannot use card keys: they have another length than asked");
    }
    return {
      enc: new Secret(fromHex(keys.enc)),
      mac: new Secret(fromHex(keys.mac)),
      dek: new Secret(fromHex(keys.dek)),
    };
  }

  async reserve(request: ReservationRequest): Promise<Reservation> {
    const answer = await this.#call("POST", "/v1/reservations", request, ReservationAnswer);
    const { dgi8137 } = await this.#unseal(answer.sealed, PersonalizationKeySealed);
    return {
      reservation: answer.reservation,
      serial: fromHex(answer.serial),
      issuerPublicKey: fromHex(answer.issuerPublicKey),
      personalizationKey: new Secret(fromHex(dgi8137)),
      again: answer.again,
    };
  }

  attest(request: AttestationRequest): Promise<AttestationAnswer> {
    return this.#call("POST", "/v1/attestations", request, AttestationAnswer);
  }

  install(request: InstallationRequest): Promise<InstallationAnswer> {
    return this.#call("POST", "/v1/installations", request, InstallationAnswer);
  }

  closeCard(request: ClosureRequest): Promise<ClosureAnswer> {
    return this.#call("POST", "/v1/closures", request, ClosureAnswer);
  }

  hostCertificate(request: HostCertificateRequest): Promise<HostCertificateAnswer> {
    return this.#call("POST", "/v1/host-certificates", request, HostCertificateAnswer);
  }

  close(): void {
    this.#https.close();
  }

  async #unseal<T>(sealed: string, schema: z.ZodType<T>): Promise<T> {
    if (this.#options.sealingKey === undefined) {
      throw new CodedError(
        "ATTESTATION_CONFIGURATION",
        "Cannot open sealed answer: this sender has no sealing key",
      );
    }
    return check(schema, await unseal(sealed, this.#options.sealingKey), "the sealed part");
  }

  async #call<T>(
    method: "GET" | "POST",
    path: string,
    body: unknown,
    schema: z.ZodType<T>,
    answerMaxBytes?: number,
  ): Promise<T> {
    const bytes = body === undefined ? undefined : toUtf8(JSON.stringify(body));
    const idempotencyKey = crypto.randomUUID();
    let last: CodedError | undefined;
    let staleSpent = false;
    let askedWaitMs = 0;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      // A whole round of gateways failed: give them a moment before the next one.
      const round = Math.floor(attempt / this.#gateways.length);
      if (attempt % this.#gateways.length === 0 && round > 0) {
        await delay(Math.max(BACKOFF_MS * 2 ** (round - 1), askedWaitMs));
        askedWaitMs = 0;
      }
      const index = this.#current % this.#gateways.length;
      const gateway = this.#gateways[index]!;
      let answer: HttpAnswer;
      try {
        answer = await this.#send(gateway, method, path, bytes, idempotencyKey, answerMaxBytes);
      } catch (error) {
        if (error instanceof StaleConnection && !staleSpent) {
          // The gateway closed an idle connection as we took it: it is not gone, a new connection tells.
          staleSpent = true;
          attempt--;
          continue;
        }
        last = new CodedError(
          "ATTESTATION_UNREACHABLE",
          `Cannot reach the attestation service at ${gateway.host}: ${(error as Error).message}`,
          { gateway: gateway.host },
        );
        this.#moveFrom(index, last.message);
        continue;
      }
      const clocks = this.#clock.heard(answer.date, this.#options.clock.now());
      if (clocks !== undefined) this.#options.onClockDifference?.(clocks);
      if (answer.status >= 200 && answer.status < 300) {
        return check(
          schema,
          parseJson(answer.body),
          `the answer to ${method} ${path.split("/").slice(0, 3).join("/")}`,
        );
      }
      const problem = problemOf(answer);
      if (!RETRIABLE_STATUS.has(answer.status)) throw this.#clock.explain(problem);
      last = problem;
      const asked = Number(answer.retryAfter);
      const waitMs = Number.isFinite(asked) && asked > 0
        ? 1000 * Math.min(asked, RETRY_AFTER_MAX_SECONDS)
        : 0;
      if (answer.status === 429) {
        // Both gateways count in one store: another one would say the same.
        await delay(waitMs || 1000);
      } else {
        // The other gateway is asked at once; a second round waits as long as the first was told to.
        askedWaitMs = Math.max(askedWaitMs, waitMs);
        this.#moveFrom(index, `${answer.status} ${problem.code}`);
      }
    }
    throw last ?? new CodedError("ATTESTATION_UNREACHABLE", "Cannot reach the attestation service");
  }

  /** Leaves a gateway that failed, unless another request has left it already. */
  #moveFrom(index: number, reason: string): void {
    const gateway = this.#gateways[index]!.host;
    this.#options.onFailover?.({ gateway, reason });
    if (this.#current === index) this.#current = (index + 1) % this.#gateways.length;
  }

  async #send(
    gateway: URL,
    method: string,
    path: string,
    body: Uint8Array | undefined,
    idempotencyKey: string,
    answerMaxBytes: number | undefined,
  ): Promise<HttpAnswer> {
    const { clock, random, name, signingKey } = this.#options;
    const signed = body === undefined ? {} : await signRequest({
      method,
      path,
      body,
      keyId: name,
      privateKey: signingKey,
      nonce: freshNonce(random),
      created: Math.floor(clock.now() / 1000),
    });
    const headers: Record<string, string> = { accept: "application/json", ...signed };
    if (body !== undefined) headers["idempotency-key"] = idempotencyKey;
    return await this.#https.send(gateway, {
      method,
      path,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(answerMaxBytes === undefined ? {} : { answerMaxBytes }),
    });
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new CodedError(
      "ATTESTATION_ANSWER",
      "Cannot read the attestation service's answer: it is not JSON",
    );
  }
}

/** Only field names are told: the values can be secret. */
function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "everything");
  throw new CodedError("ATTESTATION_ANSWER", `Cannot use ${what}: wrong or missing ${fields.join(", ")}`);
}

/** A problem (RFC 9457) as an error with the sender's own code and advice. */
function problemOf(answer: HttpAnswer): CodedError {
  let problem: Problem | undefined;
  try {
    problem = Problem.safeParse(parseJson(answer.body)).data;
  } catch {
    problem = undefined;
  }
  if (problem === undefined || !/^[A-Z][A-Z0-9_]{2,63}$/.test(problem.code)) {
    return new CodedError(
      "ATTESTATION_ANSWER",
      `Cannot use the attestation service: it answers ${answer.status} without saying why`,
      { status: answer.status },
    );
  }
  return new CodedError(problem.code, problem.detail ?? problem.title, {
    status: answer.status,
    ...(problem.next === undefined ? {} : { next: problem.next }),
    fromService: true,
  });
}

defineErrors({
  ATTESTATION_CONFIGURATION: {
    fault: "configuration",
    retry: false,
    next: "Correct gateways, keys and certificates in the station's configuration file.",
  },
  ATTESTATION_UNREACHABLE: {
    fault: "service",
    retry: true,
    next:
      "Neither gateway answers: check the network and the gateways, then present the card again. It is not lost.",
  },
  ATTESTATION_ANSWER: {
    fault: "peer",
    retry: true,
    next:
      "The attestation service's answer is not what it should be: tell whoever runs it. The card is not lost.",
  },
});
