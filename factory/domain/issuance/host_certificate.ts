/** May a host certificate be issued? For the factory's own test wallets only, never for a customer's. */

import { fromHex } from "shared/base/bytes.ts";
import { isPublicKey } from "shared/crypto/secp256k1.ts";
import type { HostCertificateRequest } from "shared/protocol/wire/attestation.ts";
import type { HostCertificateRecord } from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Default first byte of host serials in the factory's range: the letter F. */
export const FACTORY_HOST_PREFIX = "46";

/** The rules of this service. */
export interface HostCertificateRules {
  readonly enabled: boolean;
  /** Hex; every host serial that is certified begins with it. */
  readonly serialPrefix: string;
}

/** Outcome of `mayIssueHostCertificate`. */
export type HostCertificateDecision =
  | { readonly kind: "accept"; readonly hostSerial: Uint8Array; readonly publicKey: Uint8Array }
  | { readonly kind: "repeat"; readonly certificate: HostCertificateRecord }
  | Refusal;

/**
 * Decides on a host certificate asked for by `station`.
 * @param existing Certificates that this host serial has already: a serial stays with its first station.
 */
export function mayIssueHostCertificate(
  rules: HostCertificateRules,
  existing: readonly HostCertificateRecord[],
  station: string,
  request: HostCertificateRequest,
): HostCertificateDecision {
  if (!rules.enabled) return refuse("ATTEST_HOST_DISABLED");
  if (!request.hostSerial.startsWith(rules.serialPrefix)) return refuse("ATTEST_HOST_SERIAL");
  if (existing.some((certificate) => certificate.station !== station)) return refuse("ATTEST_HOST_TAKEN");
  const publicKey = fromHex(request.publicKey);
  if (!isPublicKey(publicKey)) return refuse("ATTEST_PUBLIC_KEY");
  const same = existing.find((certificate) => certificate.publicKey === request.publicKey);
  if (same !== undefined) return { kind: "repeat", certificate: same };
  return { kind: "accept", hostSerial: fromHex(request.hostSerial), publicKey };
}
