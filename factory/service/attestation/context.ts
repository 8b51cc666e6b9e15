/** What every operation of the attestation service works with, and how a signed request's transaction opens. */

import type { Logger } from "shared/base/log.ts";
import type { EventName } from "shared/log/events.ts";
import type { Identified } from "shared/log/recorder.ts";
import type { EventEntry, ServiceEventLog } from "shared/log/writer/event_log.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { SerialRange } from "../../domain/issuance/batch.ts";
import type { HostCertificateRules } from "../../domain/issuance/host_certificate.ts";
import type { SenderRole } from "../../transport/issuance_store/records.ts";
import { type Refusal, type RefusalReason, refuse } from "../../domain/issuance/refusals.ts";
import { maySend } from "../../domain/issuance/sender.ts";
import { type IssuanceStore, violatedConstraint } from "../../transport/issuance_store/store.ts";
import type { IssuanceTransaction, RequestStamp } from "../../transport/issuance_store/transaction.ts";
import type { CertificateSigner } from "./certificate_signer.ts";
import type { RecordSigner } from "./record_signer.ts";

/** A sender, as configured. */
export interface ConfiguredSender {
  readonly name: string;
  readonly role: SenderRole;
  /** Ed25519 public key, JWK. */
  readonly signingKey: JsonWebKey;
  /** The key before, while it is exchanged: what it signs holds too. */
  readonly previousSigningKey?: JsonWebKey | undefined;
  /** P-256 public key, JWK; stations have one. */
  readonly sealingKey?: JsonWebKey;
}

/** AES-CMAC under the transport master key, inside the HSM. */
export type TransportMaster = (input: Uint8Array) => Promise<Uint8Array>;

/** Everything the operations need. */
export interface AttestationContext {
  readonly store: IssuanceStore;
  readonly signer: CertificateSigner;
  readonly records: RecordSigner;
  readonly transportMaster: TransportMaster;
  /** By name. */
  readonly senders: ReadonlyMap<string, ConfiguredSender>;
  readonly serials: SerialRange;
  readonly hostCertificates: HostCertificateRules;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** The tamper-evident log: what changes something stands in it, committed with the change. */
  readonly events: ServiceEventLog;
}

/** What a request is about: a refusal is entered so. */
export interface About {
  readonly event: EventName;
  readonly subject?: Identified;
}

/** Refusals of requests that change nothing. */
const ANY_REQUEST: About = { event: "attestation.request-refused" };

/** Races that the database decided: the constraint that said no, and what it means to the sender. */
const CONSTRAINT_REASONS: Readonly<Record<string, RefusalReason>> = {
  chip_attested_once: "ATTEST_CHIP_ELSEWHERE",
  card_key_once: "ATTEST_KEY_REUSED",
  chip_diversification_once: "ATTEST_CHIP_TWIN",
  chip_cplc_once: "ATTEST_CHIP_TWIN",
};

/** What an operation's work came to. */
export interface Done<A> {
  /** The answer: what is sent, and what is stored for a repetition. */
  readonly answer: A;
  /** Whether the answer is stored here; false when a later part of the operation makes it. Default true. */
  readonly final?: boolean;
  /** Statements under way, which are awaited before the commit: the stored answer goes with them. */
  readonly writes?: Promise<unknown>;
  /** Called after the commit, once: writes the log. */
  readonly log?: () => void;
  /** Entries of the tamper-evident log, committed with what was done. */
  readonly entries?: readonly EventEntry[];
}

/** Ends an operation's work with its answer. */
export function done<A>(
  answer: A,
  log?: () => void,
  entries: readonly EventEntry[] = [],
  writes?: Promise<unknown>,
): Done<A> {
  return {
    answer,
    entries,
    ...(log === undefined ? {} : { log }),
    ...(writes === undefined ? {} : { writes }),
  };
}

/** An entry about what a sender asked for. */
export function entryOf(
  stamp: RequestStamp,
  { event, subject }: About,
  outcome: "intended" | "done" | "refused" = "done",
  reason?: string,
): EventEntry {
  return {
    event,
    facts: {
      actor: { kind: "sender", identifier: stamp.sender },
      ...(subject === undefined ? {} : { subject }),
      outcome,
      ...(reason === undefined ? {} : { reason }),
    },
  };
}

/** A card as entries name it. */
export function cardOf(serial: string): Identified {
  return { kind: "card", identifier: serial };
}

/** A batch as entries name it. */
export function batchOf(name: string): Identified {
  return { kind: "batch", identifier: name };
}

/**
 * Runs a signed request in one transaction: spends its nonce, checks its sender, then does `work` and stores the
 * answer under the request's Idempotency-Key. A request that was answered before gets that answer again, byte for byte.
 * A refusal commits too, so that the refused request cannot be sent again; it is not stored: it changed nothing, and is
 * decided anew. Only a fault undoes everything. Entries of the tamper-evident log are in the same transaction: when they
 * cannot be written, nothing is done.
 * @param roles Who may use this operation.
 * @param together Reads that do not depend on the sender, sent along with the opening statement.
 */
export async function signedRequest<R, A>(
  context: AttestationContext,
  stamp: RequestStamp,
  roles: readonly SenderRole[],
  together: (transaction: IssuanceTransaction) => Promise<R>,
  work: (transaction: IssuanceTransaction, read: R) => Promise<Done<A> | Refusal> | Done<A> | Refusal,
  about: About = ANY_REQUEST,
): Promise<A | Refusal> {
  const { requestSha256 } = stamp;
  return await inTransaction(context, stamp, about, async (transaction) => {
    const [opening, read] = await Promise.all([transaction.open(stamp), together(transaction)]);
    const allowed = maySend(opening.sender, opening.fresh, roles);
    if (allowed.kind === "refuse") return allowed;
    const { earlier } = opening;
    if (earlier !== undefined && earlier.requestSha256 !== requestSha256) {
      return refuse("ATTEST_IDEMPOTENCY_REUSED");
    }
    if (earlier?.answer != null) return { ...repeated(context, stamp, earlier.answer), final: false };
    return await work(transaction, read);
  });
}

/** Runs `work`, and commits what it came to with its entries: those of what was done, or one of the refusal. */
async function inTransaction<A>(
  context: AttestationContext,
  stamp: RequestStamp,
  about: About,
  work: (transaction: IssuanceTransaction) => Promise<Done<A> | Refusal>,
): Promise<A | Refusal> {
  const { events } = context;
  try {
    const made = await context.store.transaction(async (transaction): Promise<Done<A> | Refusal> => {
      const result = await work(transaction);
      if (isRefusal(result)) {
        await transaction.enter(events, [entryOf(stamp, about, "refused", result.reason)]);
        return result;
      }
      const entered = transaction.enter(events, result.entries ?? []);
      if (result.final === false) {
        await Promise.all([result.writes, entered]);
        return result;
      }
      const [kept] = await Promise.all([keptWith(transaction, stamp, result), entered]);
      return kept;
    });
    events.committed();
    if (isRefusal(made)) return made;
    made.log?.();
    return made.answer;
  } catch (error) {
    const reason = CONSTRAINT_REASONS[violatedConstraint(error) ?? ""];
    if (reason === undefined) throw error;
    const { event, facts } = entryOf(stamp, about, "refused", reason);
    await events.record(event, facts);
    return refuse(reason);
  }
}

/** Stores the answer beside what the work still writes. What fails first is what is thrown. */
async function keptWith<A>(
  transaction: IssuanceTransaction,
  stamp: RequestStamp,
  result: Done<A>,
): Promise<Done<A>> {
  const [, answer] = await Promise.all([result.writes, keep(transaction, stamp, result.answer)]);
  return { ...result, answer };
}

/** Stores an answer that no other instance has stored meanwhile; then that one counts. */
async function keep<A>(transaction: IssuanceTransaction, stamp: RequestStamp, answer: A): Promise<A> {
  if (stamp.idempotencyKey === undefined) return answer;
  const text = JSON.stringify(answer);
  const kept = await transaction.keepAnswer(stamp, text);
  return kept === text ? answer : JSON.parse(kept) as A;
}

function repeated<A>(context: AttestationContext, stamp: RequestStamp, answer: string): Done<A> {
  return done(
    JSON.parse(answer) as A,
    () => context.log.info("request.repeated", { sender: stamp.sender }),
    [entryOf(stamp, { event: "attestation.request-repeated" })],
  );
}

/**
 * A later part of an operation whose request was opened by `signedRequest`: another transaction, which stores the answer.
 */
export async function furtherPart<A>(
  context: AttestationContext,
  stamp: RequestStamp,
  work: (transaction: IssuanceTransaction) => Promise<Done<A> | Refusal>,
  about: About = ANY_REQUEST,
): Promise<A | Refusal> {
  return await inTransaction(context, stamp, about, work);
}

/** Whether an operation's result is a refusal. */
export function isRefusal(result: unknown): result is Refusal {
  return typeof result === "object" && result !== null && "kind" in result && result.kind === "refuse";
}
