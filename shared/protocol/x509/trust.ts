/** What a verifier trusts: configured authorities, each with its revocation list and its rule for a stale one. */

import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
  X509Crl,
} from "./library.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { normalSerial } from "./serial_number.ts";

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
  /** Serial numbers as `normalSerial` writes them. */
  readonly revoked: ReadonlySet<string>;
}

/** One configured authority. */
export interface TrustedAuthority {
  /** Common name, for logs. */
  readonly name: string;
  readonly certificate: X509Certificate;
  readonly list?: RevocationList;
  readonly whenStale: WhenStale;
}

/** Everything a verifier trusts; a change is a new value. */
export interface Trust {
  readonly authorities: readonly TrustedAuthority[];
}

/** The text of one authority's files; `name` says in errors which file it was. */
export interface AuthoritySource {
  readonly certificates: { readonly name: string; readonly pem: string };
  readonly revocationList?: { readonly name: string; readonly pem: string };
  readonly whenStale: WhenStale;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Lists that are no complete list of one authority: delta (RFC 5280, 5.2.4) and scoped ones (5.2.5). */
const PARTIAL_LIST_EXTENSIONS = new Set(["2.5.29.27", "2.5.29.28"]);

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
export async function readTrust(sources: readonly AuthoritySource[]): Promise<Trust> {
  const authorities: TrustedAuthority[] = [];
  for (const source of sources) {
    const list = source.revocationList === undefined ? undefined : parseList(source.revocationList);
    let claimed = false;
    for (const der of readPemCertificates(source.certificates.name, source.certificates.pem)) {
      const certificate = authorityOf(source.certificates.name, der);
      const own = list !== undefined && list.issuer === certificate.subject &&
        await list.verify({ publicKey: certificate.publicKey }).catch(() => false);
      claimed ||= own;
      authorities.push({
        name: certificate.subjectName.getField("CN")[0] ?? certificate.subject,
        certificate,
        whenStale: source.whenStale,
        ...(own ? { list: contentOf(list) } : {}),
      });
    }
    if (list !== undefined && !claimed) {
      throw new CodedError(
        "X509_REVOCATION_UNFIT",
        `Cannot use ${source.revocationList?.name}: it is not signed by an authority of ${source.certificates.name}`,
      );
    }
  }
  return { authorities };
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

function parseList(source: { name: string; pem: string }): X509Crl {
  let list: X509Crl;
  try {
    list = new X509Crl(source.pem);
  } catch (error) {
    throw new CodedError(
      "X509_MALFORMED",
      `Cannot read ${source.name}: not a PEM revocation list`,
      {},
      error,
    );
  }
  if (list.extensions.some((extension) => PARTIAL_LIST_EXTENSIONS.has(extension.type))) {
    throw new CodedError("X509_REVOCATION_UNFIT", `Cannot use ${source.name}: it is only a part of a list`);
  }
  return list;
}

function contentOf(list: X509Crl): RevocationList {
  return {
    thisUpdate: list.thisUpdate.getTime(),
    nextUpdate: list.nextUpdate?.getTime() ?? 0,
    revoked: new Set(list.entries.map((entry) => normalSerial(entry.serialNumber))),
  };
}
