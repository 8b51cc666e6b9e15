/**
 * The application's own check of a TLS peer certificate: chain by signature, dates, constraints, usages,
 * revocation, identity (RFC 5280, section 6, for the small PKIs here). It exists because the runtime's check
 * has holes: it ignores revocation lists and skips verification on a resumed session. Pure but for Web
 * Crypto's verify: time and trust are passed in.
 */

import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from "./library.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { toHex } from "shared/base/bytes.ts";
import { type CertificateNames, certificateNames } from "./names.ts";
import { normalSerial } from "./serial_number.ts";
import { isVersion3, type Trust, type TrustedAuthority } from "./trust.ts";

/** Why a certificate is refused: stable, for logs and metrics; the peer is told none of it. */
export type CertificateRefusal =
  | "certificate-missing"
  | "certificate-malformed"
  | "certificate-not-v3"
  | "certificate-is-authority"
  | "certificate-critical-extension"
  | "certificate-weak-signature"
  | "authority-unknown"
  | "certificate-expired"
  | "certificate-not-yet-valid"
  | "certificate-key-usage"
  | "certificate-wrong-usage"
  | "certificate-revoked"
  | "revocation-missing"
  | "revocation-stale"
  | "identity-missing"
  | "identity-ambiguous"
  /** The check itself failed: a caller refuses then too. */
  | "verification-fault";

/** The decision on one certificate. It holds until `validUntil` (milliseconds since 1970) or the trust changes. */
export type CertificateVerdict =
  | {
    readonly kind: "accept";
    /** The one URI subject alternative name; where `identities: "any"` is asked for and there is none, see `identityOf`. */
    readonly identity: string;
    /** Every name, where `identities: "any"` is asked for. */
    readonly names?: CertificateNames;
    /** Configured name of the authority's entry, when it has one. */
    readonly group?: string;
    /** SHA-256 of the certificate's DER, upper-case hex. */
    readonly fingerprint: string;
    /** Name of the configured authority at the end of the chain. */
    readonly authority: string;
    readonly validUntil: number;
  }
  | {
    readonly kind: "refuse";
    readonly reason: CertificateRefusal;
    readonly fingerprint?: string;
    readonly validUntil: number;
  };

/** Most certificates between the leaf and a configured authority. */
export const MAX_INTERMEDIATES = 3;
/** A refusal is looked at again after this time: a certificate that is not valid yet may become so. */
export const REFUSAL_LIFETIME_MS = 10_000;

const USAGE_OIDS = { client: ExtendedKeyUsage.clientAuth, server: ExtendedKeyUsage.serverAuth } as const;
/** Extensions that are understood here (RFC 5280, 4.2): SKI, KU, SAN, BC, CRL DP, AKI, EKU. */
const UNDERSTOOD = new Set(["14", "15", "17", "19", "31", "35", "37"].map((arc) => `2.5.29.${arc}`));
const WEAK_HASHES = new Set(["SHA-1", "MD5"]);

/** SHA-256 of a certificate's DER, upper-case hex. */
export function certificateFingerprint(der: Uint8Array): string {
  return toHex(sha256(der));
}

/**
 * Decides on a peer's certificate.
 * @param presented DER, leaf first, then whatever else the peer sent; only the leaf is taken as the peer's.
 */
export async function verifyCertificate(
  presented: readonly Uint8Array[],
  trust: Trust,
  options: {
    readonly usage: "client" | "server";
    readonly now: number;
    /** `uri` (the default) demands one URI name; `any` takes a certificate that has only DNS names or a subject as well. */
    readonly identities?: "uri" | "any";
  },
): Promise<CertificateVerdict> {
  const { now } = options;
  const leafDer = presented[0];
  if (leafDer === undefined || leafDer.length === 0) {
    return { kind: "refuse", reason: "certificate-missing", validUntil: now };
  }
  const fingerprint = certificateFingerprint(leafDer);
  const refuse = (reason: CertificateRefusal): CertificateVerdict => ({
    kind: "refuse",
    reason,
    fingerprint,
    validUntil: now + REFUSAL_LIFETIME_MS,
  });
  try {
    const leaf = new X509Certificate(new Uint8Array(leafDer));
    const shape = shapeRefusal(leaf, leafDer);
    if (shape !== undefined) return refuse(shape);
    const path = await findPath(leaf, presented.slice(1, 1 + MAX_INTERMEDIATES), trust);
    if (path === undefined) return refuse("authority-unknown");
    let validUntil = Infinity;
    for (const certificate of [leaf, ...path.map((step) => step.certificate)]) {
      if (now < certificate.notBefore.getTime()) return refuse("certificate-not-yet-valid");
      if (now > certificate.notAfter.getTime()) return refuse("certificate-expired");
      validUntil = Math.min(validUntil, certificate.notAfter.getTime());
    }
    const usage = usageRefusal(leaf, USAGE_OIDS[options.usage]);
    if (usage !== undefined) return refuse(usage);
    // The leaf by its issuer's list, each intermediate by its own issuer's.
    const subjects = [leaf, ...path.map((step) => step.certificate)];
    for (const [i, issuer] of path.entries()) {
      const revocation = revocationOf(subjects[i]!, issuer.trusted, now);
      if ("reason" in revocation) return refuse(revocation.reason);
      validUntil = Math.min(validUntil, revocation.validUntil);
    }
    const names = certificateNames(leaf);
    if (names.uris.length > 1) return refuse("identity-ambiguous");
    const any = options.identities === "any";
    const identity = any ? identityOf(names) : names.uris[0];
    if (identity === undefined) return refuse("identity-missing");
    const { name: authority, group } = path[path.length - 1]!.trusted!;
    return {
      kind: "accept",
      identity,
      fingerprint,
      authority,
      validUntil,
      ...(any ? { names } : {}),
      ...(group === undefined ? {} : { group }),
    };
  } catch {
    return refuse("certificate-malformed");
  }
}

/**
 * The one name by which a client is counted and logged: its URI, else `dns:` and its first DNS name, else `subject:` and its
 * subject as JSON, which no name can forge.
 */
function identityOf(names: CertificateNames): string | undefined {
  if (names.uris[0] !== undefined) return names.uris[0];
  if (names.dns[0] !== undefined) return `dns:${names.dns[0]}`;
  return names.subject.length > 0 ? `subject:${JSON.stringify(names.subject)}` : undefined;
}

function shapeRefusal(leaf: X509Certificate, der: Uint8Array): CertificateRefusal | undefined {
  if (!isVersion3(der)) return "certificate-not-v3";
  if (leaf.getExtension(BasicConstraintsExtension)?.ca) return "certificate-is-authority";
  if (leaf.extensions.some((e) => e.critical && !UNDERSTOOD.has(e.type))) {
    return "certificate-critical-extension";
  }
  if (WEAK_HASHES.has(leaf.signatureAlgorithm.hash?.name ?? "")) return "certificate-weak-signature";
  return undefined;
}

function usageRefusal(leaf: X509Certificate, wanted: string): CertificateRefusal | undefined {
  const keyUsage = leaf.getExtension(KeyUsagesExtension);
  if (keyUsage !== null && (keyUsage.usages & KeyUsageFlags.digitalSignature) === 0) {
    return "certificate-key-usage";
  }
  // Absent means any usage (RFC 5280, 4.2.1.12); here a certificate has to say what it is for.
  const extended = leaf.getExtension(ExtendedKeyUsageExtension);
  return extended?.usages.some((usage) => String(usage) === wanted) ? undefined : "certificate-wrong-usage";
}

/** One issuer on the way up; `trusted` when it is a configured authority. */
interface PathStep {
  readonly certificate: X509Certificate;
  readonly trusted?: TrustedAuthority;
}

/** Issuers of `leaf` up to the first configured authority, by name and signature. */
async function findPath(
  leaf: X509Certificate,
  others: readonly Uint8Array[],
  trust: Trust,
): Promise<PathStep[] | undefined> {
  const steps: PathStep[] = [];
  let current = leaf;
  while (steps.length <= MAX_INTERMEDIATES) {
    for (const trusted of trust.authorities) {
      if (await isIssuer(trusted.certificate, current, steps.length)) {
        return [...steps, { certificate: trusted.certificate, trusted }];
      }
    }
    let next: X509Certificate | undefined;
    for (const der of others) {
      if (!isVersion3(der)) continue;
      const candidate = new X509Certificate(new Uint8Array(der));
      if (candidate.subject === candidate.issuer) continue; // a root from the peer proves nothing
      if (await isIssuer(candidate, current, steps.length)) next = candidate;
    }
    if (next === undefined) return undefined;
    steps.push({ certificate: next });
    current = next;
  }
  return undefined;
}

async function isIssuer(issuer: X509Certificate, subject: X509Certificate, below: number): Promise<boolean> {
  if (issuer.subject !== subject.issuer) return false;
  const constraints = issuer.getExtension(BasicConstraintsExtension);
  if (!constraints?.ca) return false;
  if (constraints.pathLength !== undefined && constraints.pathLength < below) return false;
  const keyUsage = issuer.getExtension(KeyUsagesExtension);
  if (keyUsage !== null && (keyUsage.usages & KeyUsageFlags.keyCertSign) === 0) return false;
  if (issuer.extensions.some((e) => e.critical && !UNDERSTOOD.has(e.type))) return false;
  if (WEAK_HASHES.has(subject.signatureAlgorithm.hash?.name ?? "")) return false;
  return await subject.verify({ publicKey: issuer.publicKey, signatureOnly: true });
}

/**
 * Revocation of one certificate by its issuer's list. An intermediate that the peer sent has no list of its
 * own here: certificates under it are refused unless the authority above accepts missing lists.
 */
function revocationOf(
  subject: X509Certificate,
  issuer: TrustedAuthority | undefined,
  now: number,
): { readonly validUntil: number } | { readonly reason: CertificateRefusal } {
  if (issuer?.list === undefined) {
    if (issuer?.whenStale === "accept") return { validUntil: Infinity };
    return { reason: "revocation-missing" };
  }
  const { list } = issuer;
  if (list.revoked.has(normalSerial(subject.serialNumber))) return { reason: "certificate-revoked" };
  if (issuer.whenStale === "accept") return { validUntil: Infinity };
  const until = Math.min(list.nextUpdate, list.thisUpdate + (issuer.maxAgeMs ?? Infinity));
  if (now < list.thisUpdate || now > until) return { reason: "revocation-stale" };
  return { validUntil: until };
}
