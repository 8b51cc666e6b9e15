/**
 * What a provider says, against what it must be: its certificates, the identity that every provider must agree on, and the
 * commitments. The share itself is never here: that it is the right one follows from the commitment to it.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  decodeProviderCertificate,
  providerBytes,
  requireSignature,
} from "shared/protocol/recover/certificates.ts";
import { ROLE } from "shared/protocol/recover/constants.ts";
import { sameIdentity } from "shared/protocol/recover/identity.ts";
import { expectedShareCommitment } from "shared/protocol/recover/sharing.ts";
import type {
  DepositAnswer,
  OpenSessionAnswer,
  RecoverIdentity,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import "./errors.ts";

/** A provider, as configured. */
export interface ProviderIdentity {
  /** 1, 2 or 3. */
  readonly index: number;
  /** Name in its certificates. */
  readonly name: string;
  /** Static public key (65), upper-case hex: another key of the same name is another provider. */
  readonly publicKey: string;
}

function wrong(provider: ProviderIdentity, why: string): CodedError {
  return new CodedError("ORCHESTRATOR_PROVIDER", `Cannot go on with ${provider.name}: ${why}`, {
    provider: provider.name,
  });
}

/**
 * Checks what a provider opened a session with.
 * @param root key (65) that signs providers' certificates. @param first whether it was asked for the identity's message.
 * @param identity what the session knows; null: this answer tells it. @returns the identity.
 * @throws {CodedError} `ORCHESTRATOR_PROVIDER`, `ORCHESTRATOR_IDENTITIES`.
 */
export function checkOpened(
  provider: ProviderIdentity,
  root: Uint8Array,
  answer: OpenSessionAnswer,
  asked: { session: string; first: boolean; backup: boolean; identity: RecoverIdentity | null },
): RecoverIdentity {
  if (answer.session !== asked.session) throw wrong(provider, "it answers another session");
  try {
    const fixed = decodeProviderCertificate(fromHex(answer.staticCertificate));
    const fresh = decodeProviderCertificate(fromHex(answer.ephemeralCertificate));
    const named = [fixed.name, fresh.name, answer.providerName].every((name) => name === provider.name);
    if (
      !named || fixed.role !== ROLE.PROVIDER_STATIC || fresh.role !== ROLE.PROVIDER_EPHEMERAL ||
      toHex(fixed.publicKey) !== provider.publicKey
    ) throw wrong(provider, "its certificate is another provider's");
    const bytes = (each: typeof fixed) => providerBytes(each.role, each.name, each.publicKey);
    requireSignature(root, bytes(fixed), fixed.signature, "provider certificate");
    requireSignature(fixed.publicKey, bytes(fresh), fresh.signature, "ephemeral certificate");
  } catch (error) {
    if (error instanceof CodedError && error.code === "ORCHESTRATOR_PROVIDER") throw error;
    throw wrong(provider, "its certificates do not hold");
  }
  if ((answer.sealedIdentity !== null) !== asked.first) {
    throw wrong(provider, "it tells the device an identity unasked, or does not when asked");
  }
  if (asked.backup) return asked.identity!;
  if (answer.identity === null) throw wrong(provider, "it tells no identity");
  if (asked.identity !== null && !sameIdentity(answer.identity, asked.identity)) {
    throw new CodedError(
      "ORCHESTRATOR_IDENTITIES",
      `Cannot go on: ${provider.name} keeps another identity for this backup`,
      { provider: provider.name },
    );
  }
  return answer.identity;
}

/** Checks the proof of a deposit: E0 + i E1, with the index that is this provider's. @throws {CodedError} `ORCHESTRATOR_PROVIDER`. */
export function checkDeposit(provider: ProviderIdentity, commitments: string, answer: DepositAnswer): void {
  requireCommitment(provider, commitments, answer.shareCommitment);
}

/**
 * Checks a release.
 * @param known commitments and words that another provider, or this service's own record, told; null: none did.
 * @throws {CodedError} `ORCHESTRATOR_PROVIDER`.
 */
export function checkRelease(
  provider: ProviderIdentity,
  known: { commitments: string | null; words: number | null },
  answer: ReleaseAnswer,
): void {
  if (known.commitments !== null && answer.commitments !== known.commitments) {
    throw wrong(provider, "its commitments are not those of this backup");
  }
  if (known.words !== null && answer.words !== known.words) {
    throw wrong(provider, "it tells another number of words");
  }
  requireCommitment(provider, answer.commitments, answer.shareCommitment);
}

function requireCommitment(provider: ProviderIdentity, commitments: string, share: string): void {
  let expected: string;
  try {
    expected = toHex(expectedShareCommitment(fromHex(commitments), provider.index));
  } catch {
    throw wrong(provider, "the commitments are no points of the curve");
  }
  if (share !== expected) throw wrong(provider, `its share is not share ${provider.index} of this backup`);
}
