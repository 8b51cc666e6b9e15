/** What a verifier trusts: configured authorities, each with its revocation list and its rule for a stale one. */

import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, X509Certificate } from "./library.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import {
  type ParsedRevocationList,
  parseRevocationList,
  replacementFault,
  type RevocationListFault,
} from "./revocation_list.ts";
import { verifyStructure } from "./signed.ts";

defineErrors({
  X509_MALFORMED: {
    fault: "configuration",
    retry: false,
    next: "Give a PEM file as the authority's tool wrote it.",
  },
  X509_AUTHORITY_UNFIT: {
    fault: "configuration",
    retry: false,
    next: "Give X.509 v3 certificates with basic constraints CA:TRUE and key usage keyCertSign.",
  },
  X509_REVOCATION_UNFIT: {
    fault: "configuration",
    retry: false,
    next: "Give the full revocation list that this authority signed.",
  },
});

/** What to do with certificates of an authority whose revocation list is missing or past its nextUpdate. */
export type WhenStale = "refuse" | "accept";

/** A revocation list whose signature was verified. */
export interface RevocationList {
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** Milliseconds since 1970; a list without one never was fresh. */
  readonly nextUpdate: number;
  /** CRL number (RFC 5280, 5.2.3); undefined when the list has none. */
  readonly number?: bigint;
  /** Serial numbers as `normalSerial` writes them. */
  readonly revoked: ReadonlySet<string>;
}

/** One configured authority. */
export interface TrustedAuthority {
  /** Common name, for logs. */
  readonly name: string;
  readonly certificate: X509Certificate;
  /** Name that the configuration gives to it and to those that stand beside it during a rotation. */
  readonly group?: string;
  readonly list?: RevocationList;
  readonly whenStale: WhenStale;
  /** A list is stale this long after its thisUpdate, in milliseconds, whatever its nextUpdate says; undefined: no such rule. */
  readonly maxAgeMs?: number;
}

/** Everything a verifier trusts; a change is a new value. */
export interface Trust {
  readonly authorities: readonly TrustedAuthority[];
}

/** The text of one authority's files; `name` says in errors which file it was. */
export interface AuthoritySource {
  readonly certificates: { readonly name: string; readonly pem: string };
  readonly revocationList?: { readonly name: string; readonly pem: string };
  /** More lists, read already: of the other authorities of the bundle, or the same list from elsewhere. The newest counts. */
  readonly revocationLists?: readonly { readonly name: string; readonly list: ParsedRevocationList }[];
  readonly whenStale: WhenStale;
  /** See `TrustedAuthority`. */
  readonly group?: string;
  /** See `TrustedAuthority`. */
  readonly maxAgeMs?: number;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Cuts a PEM bundle into DER certificates. @throws {CodedError} `X509_MALFORMED` when there is none. */
export function readPemCertificates(name: string, pem: string): Uint8Array<ArrayBuffer>[] {
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    throw new CodedError("X509_MALFORMED", `Cannot read ${name}: no PEM certificate in it`);
  }
  try {
    return blocks.map((block) => new Uint8Array(new X509Certificate(block).rawData));
  } catch (error) {
    throw new CodedError(
      "X509_MALFORMED",
      `Cannot read ${name}: a certificate in it is malformed`,
      {},
      error,
    );
  }
}

/**
 * Whether a certificate is X.509 v3, by its first bytes: Certificate and TBSCertificate sequences, then
 * `[0] EXPLICIT INTEGER 2` (RFC 5280, 4.1). Node lets anyone in who presents a v1 root.
 */
export function isVersion3(der: Uint8Array): boolean {
  const body = afterSequenceHeader(der, 0);
  const tbs = body === undefined ? undefined : afterSequenceHeader(der, body);
  if (tbs === undefined) return false;
  return [0xa0, 0x03, 0x02, 0x01, 0x02].every((byte, i) => der[tbs + i] === byte);
}

function afterSequenceHeader(der: Uint8Array, at: number): number | undefined {
  const length = der[at + 1];
  if (der[at] !== 0x30 || length === undefined) return undefined;
  return at + 2 + (length > 0x80 ? length & 0x7f : 0);
}

/**
 * Reads authorities and their lists.
 * @throws {CodedError} `X509_MALFORMED`, `X509_AUTHORITY_UNFIT` (v1, not an authority) or
 * `X509_REVOCATION_UNFIT` (not signed by this authority, or only a part of its list).
 */
export function readTrust(sources: readonly AuthoritySource[]): Promise<Trust> {
  return Promise.resolve().then(() => ({ authorities: sources.flatMap(readSource) }));
}

function readSource(source: AuthoritySource): TrustedAuthority[] {
  const own = source.revocationList;
  const lists = [
    ...(own === undefined
      ? []
      : [{ name: own.name, list: parsedList(own.name, new TextEncoder().encode(own.pem)) }]),
    ...source.revocationLists ?? [],
  ].map(({ name, list }) => ({ name, list, claimed: false }));
  const authorities = readAuthorities(source).map((certificate): TrustedAuthority => {
    let held: RevocationList | undefined;
    for (const each of lists) {
      if (listFault(certificate, each.list) !== undefined) continue;
      each.claimed = true;
      if (replacementFault(held, each.list, Infinity) === undefined) held = contentOf(each.list);
    }
    return {
      name: certificate.subjectName.getField("CN")[0] ?? certificate.subject,
      certificate,
      whenStale: source.whenStale,
      ...(source.group === undefined ? {} : { group: source.group }),
      ...(source.maxAgeMs === undefined ? {} : { maxAgeMs: source.maxAgeMs }),
      ...(held === undefined ? {} : { list: held }),
    };
  });
  const unclaimed = lists.find(({ claimed }) => !claimed);
  if (unclaimed !== undefined) {
    throw new CodedError(
      "X509_REVOCATION_UNFIT",
      `Cannot use ${unclaimed.name}: it is not signed by an authority of ${source.certificates.name}`,
    );
  }
  return authorities;
}

/** The authorities of one bundle, old and new ones of a rotation. @throws {CodedError} `X509_MALFORMED`, `X509_AUTHORITY_UNFIT`. */
export function readAuthorities(source: Pick<AuthoritySource, "certificates">): X509Certificate[] {
  const { name, pem } = source.certificates;
  return readPemCertificates(name, pem).map((der) => authorityOf(name, der));
}

/** Why a list is not one of this authority; undefined when it is. */
export function listFault(
  certificate: X509Certificate,
  list: ParsedRevocationList,
): RevocationListFault | undefined {
  if (new Uint8Array(certificate.subjectName.toArrayBuffer()).toHex() !== list.issuer.toHex()) {
    return "list-issuer";
  }
  const usage = certificate.getExtension(KeyUsagesExtension);
  if (usage !== null && (usage.usages & KeyUsageFlags.cRLSign) === 0) return "list-issuer";
  const spki = new Uint8Array(certificate.publicKey.rawData);
  return verifyStructure(list.parts, spki) ? undefined : "list-signature";
}

function authorityOf(name: string, der: Uint8Array<ArrayBuffer>): X509Certificate {
  const certificate = new X509Certificate(der);
  const unfit = (what: string) =>
    new CodedError("X509_AUTHORITY_UNFIT", `Cannot trust ${certificate.subject} in ${name}: ${what}`);
  if (!isVersion3(der)) throw unfit("it is not X.509 v3");
  if (!certificate.getExtension(BasicConstraintsExtension)?.ca) throw unfit("it is not an authority");
  const usage = certificate.getExtension(KeyUsagesExtension);
  if (usage === null || (usage.usages & KeyUsageFlags.keyCertSign) === 0) {
    throw unfit("its key usage does not have keyCertSign");
  }
  return certificate;
}

function parsedList(name: string, data: Uint8Array): ParsedRevocationList {
  const reading = parseRevocationList(data);
  if (reading.kind === "list") return reading.list;
  const { fault, detail } = reading;
  throw new CodedError(
    fault === "list-malformed" ? "X509_MALFORMED" : "X509_REVOCATION_UNFIT",
    `Cannot use ${name} as a revocation list: ${detail}`,
    { fault },
  );
}

function contentOf(list: ParsedRevocationList): RevocationList {
  return {
    thisUpdate: list.thisUpdate,
    nextUpdate: list.nextUpdate ?? 0,
    revoked: list.revoked,
    ...(list.number === undefined ? {} : { number: list.number }),
  };
}
