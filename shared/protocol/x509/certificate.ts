/** End-entity certificates for mutual TLS on P-256 (RFC 5280): identity is a URI subject alternative name. */

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "./library.ts";
import {
  type Authority,
  BACKDATE_MS,
  CERTIFICATE_SIGNATURE_ALGORITHM,
  certificatePem,
  commonName,
  DAY_MS,
  generateCertificateKeys,
  privateKeyPem,
} from "./authority.ts";

/** What a certificate may be used for in TLS. */
export type TlsUsage = "client" | "server";

/** What to write into a certificate. */
export interface IssueOptions {
  /** Time of issue, milliseconds since 1970. */
  readonly now: number;
  /** Common name; for people, nothing decides on it. */
  readonly commonName: string;
  /** URI names: the identity, such as `urn:recovery-key:station:a`. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Extended key usages. Default `["client"]`. */
  readonly usages?: readonly TlsUsage[];
  /** Validity in days from `now`. Default 365. */
  readonly days?: number;
  /** Exact start, milliseconds since 1970, instead of shortly before `now`. */
  readonly notBefore?: number;
  /** Exact end, milliseconds since 1970, instead of `days`. */
  readonly notAfter?: number;
  /** Keys to certify; drawn when absent. */
  readonly keys?: CryptoKeyPair;
}

/** A certificate with its private key. */
export interface Issued {
  readonly certificate: X509Certificate;
  readonly certificatePem: string;
  /** PKCS #8 PEM: goes into a file with mode 0600, never into a log. */
  readonly privateKeyPem: string;
  /** Lower-case hex, as a revocation list names it. */
  readonly serialNumber: string;
}

const USAGE_OIDS: Readonly<Record<TlsUsage, string>> = {
  client: ExtendedKeyUsage.clientAuth,
  server: ExtendedKeyUsage.serverAuth,
};

/** Issues an end-entity certificate. */
export async function issue(authority: Authority, options: IssueOptions): Promise<Issued> {
  const keys = options.keys ?? await generateCertificateKeys();
  const names: JsonGeneralNames = [
    ...(options.uris ?? []).map((value) => ({ type: "url" as const, value })),
    ...(options.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(options.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await X509CertificateGenerator.create({
    subject: commonName(options.commonName),
    issuer: authority.certificate.subjectName.toJSON(),
    notBefore: new Date(options.notBefore ?? options.now - BACKDATE_MS),
    notAfter: new Date(options.notAfter ?? options.now + (options.days ?? 365) * DAY_MS),
    signingAlgorithm: CERTIFICATE_SIGNATURE_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.keys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension((options.usages ?? ["client"]).map((usage) => USAGE_OIDS[usage])),
      ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  });
  return {
    certificate,
    certificatePem: certificatePem(certificate),
    privateKeyPem: await privateKeyPem(keys.privateKey),
    serialNumber: certificate.serialNumber,
  };
}
