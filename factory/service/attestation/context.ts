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

/** A sender, as configured. */
export interface ConfiguredSender {
  readonly name: string;
  readonly role: SenderRole;
  /** Ed25519 public key, JWK. */
  readonly signingKey: JsonWebKey;
  /** P-256 public key, JWK; stations have one. */
  readonly sealingKey?: JsonWebKey;
}

/** AES-CMAC under the transport master key, inside the HSM. */
export type TransportMaster = (input: Uint8Array) => Promise<Uint8Array>;

/** Everything the operations need. */
export interface AttestationContext {
  readonly store: IssuanceStore;
  readonly signer: CertificateSigner;
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
};

/**
 * Runs a signed request in one transaction: spends its nonce, checks its sender, then does `work`. A refusal
 * commits too, so that the refused request cannot be sent again; only a fault undoes everything.
 * @param roles Who may use this operation.
 * @param together Reads that do not depend on the sender, sent along with the opening statement.
 */
export async function signedRequest<R, T>(
  context: AttestationContext,
  stamp: RequestStamp,
  roles: readonly SenderRole[],
  together: (transaction: IssuanceTransaction) => Promise<R>,
  work: (transaction: IssuanceTransaction, read: R) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  try {
    return await context.store.transaction(async (transaction) => {
      const [opening, read] = await Promise.all([transaction.open(stamp), together(transaction)]);
      const allowed = maySend(opening.sender, opening.fresh, roles);
      return allowed.kind === "refuse" ? allowed : await work(transaction, read);
    });
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
