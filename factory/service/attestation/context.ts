/** What every operation of the attestation service works with, and how a signed request's transaction opens. */

import type { Logger } from "shared/base/log.ts";
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
}

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
}

/** Ends an operation's work with its answer. */
export function done<A>(answer: A, log?: () => void, writes?: Promise<unknown>): Done<A> {
  return { answer, ...(log === undefined ? {} : { log }), ...(writes === undefined ? {} : { writes }) };
}

/**
 * Runs a signed request in one transaction: spends its nonce, checks its sender, then does `work` and stores the
 * answer under the request's Idempotency-Key. A request that was answered before gets that answer again, byte for byte.
 * A refusal commits too, so that the refused request cannot be sent again; it is not stored: it changed nothing, and is
 * decided anew. Only a fault undoes everything.
 * @param roles Who may use this operation.
 * @param together Reads that do not depend on the sender, sent along with the opening statement.
 */
export async function signedRequest<R, A>(
  context: AttestationContext,
  stamp: RequestStamp,
  roles: readonly SenderRole[],
  together: (transaction: IssuanceTransaction) => Promise<R>,
  work: (transaction: IssuanceTransaction, read: R) => Promise<Done<A> | Refusal> | Done<A> | Refusal,
): Promise<A | Refusal> {
  const { requestSha256 } = stamp;
  try {
    const made = await context.store.transaction(async (transaction): Promise<Done<A> | Refusal> => {
      const [opening, read] = await Promise.all([transaction.open(stamp), together(transaction)]);
      const allowed = maySend(opening.sender, opening.fresh, roles);
      if (allowed.kind === "refuse") return allowed;
      const { earlier } = opening;
      if (earlier !== undefined && earlier.requestSha256 !== requestSha256) {
        return refuse("ATTEST_IDEMPOTENCY_REUSED");
      }
      if (earlier?.answer != null) return repeated(context, stamp, earlier.answer);
      const result = await work(transaction, read);
      if (isRefusal(result)) return result;
      if (result.final !== false) return await keptWith(transaction, stamp, result);
      await result.writes;
      return result;
    });
    if (isRefusal(made)) return made;
    made.log?.();
    return made.answer;
  } catch (error) {
    const reason = CONSTRAINT_REASONS[violatedConstraint(error) ?? ""];
    if (reason === undefined) throw error;
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
  return done(JSON.parse(answer) as A, () => context.log.info("request.repeated", { sender: stamp.sender }));
}

/**
 * A later part of an operation whose request was opened by `signedRequest`: another transaction, which stores the answer.
 */
export async function furtherPart<A>(
  context: AttestationContext,
  stamp: RequestStamp,
  work: (transaction: IssuanceTransaction) => Promise<Done<A> | Refusal>,
): Promise<A | Refusal> {
  try {
    const made = await context.store.transaction(async (transaction): Promise<Done<A> | Refusal> => {
      const result = await work(transaction);
      return isRefusal(result) ? result : await keptWith(transaction, stamp, result);
    });
    if (isRefusal(made)) return made;
    made.log?.();
    return made.answer;
  } catch (error) {
    const reason = CONSTRAINT_REASONS[violatedConstraint(error) ?? ""];
    if (reason === undefined) throw error;
    return refuse(reason);
  }
}

/** Whether an operation's result is a refusal. */
export function isRefusal(result: unknown): result is Refusal {
  return typeof result === "object" && result !== null && "kind" in result && result.kind === "refuse";
}
