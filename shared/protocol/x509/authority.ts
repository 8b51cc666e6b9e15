/**
 * Certificate authorities on P-256: the maker behind the demo's and the tests' PKI, and behind the rogue
 * authority that the gateway conjures at start. Times are passed in; Web Crypto draws keys and serials.
 * Always X.509 v3: Node lets anyone in who shows a v1 root (RFC 5280, sections 4.1.2.1 and 4.2.1.9).
 */

import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "./library.ts";

/** Key algorithm of every certificate made here. */
export const CERTIFICATE_KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** Signature algorithm of every certificate and revocation list made here. */
export const CERTIFICATE_SIGNATURE_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;
/** One day in milliseconds. */
export const DAY_MS = 86_400_000;
/** Certificates begin this much earlier than `now`, for peers whose clock is behind. */
export const BACKDATE_MS = 5 * 60_000;

/** An authority with its private key: hold it where certificates are issued and nowhere else. */
export interface Authority {
  /** Common name of the subject. */
  readonly name: string;
  readonly certificate: X509Certificate;
  /** The certificate, PEM with a final newline. */
  readonly certificatePem: string;
  readonly keys: CryptoKeyPair;
}

/** How to make an authority. */
export interface AuthorityOptions {
  /** Time of issue, milliseconds since 1970. */
  readonly now: number;
  /** Validity in days from `now`. Default 3650. */
  readonly days?: number;
  /** Issuer of an intermediate authority; without it the authority is a root that signs itself. */
  readonly parent?: Authority;
}

/** Draws a P-256 key pair that can be exported. */
export function generateCertificateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(CERTIFICATE_KEY_ALGORITHM, true, ["sign", "verify"]);
}

/** A distinguished name with one common name; JSON form, so that nothing in `name` is read as syntax. */
export function commonName(name: string): { CN: string[] }[] {
  return [{ CN: [name] }];
}

/** PEM with a final newline, as `cat` of several files into a bundle needs. */
export function certificatePem(certificate: X509Certificate): string {
  return certificate.toString("pem") + "\n";
}

/** PKCS #8 PEM of an exportable private key. */
export async function privateKeyPem(key: CryptoKey): Promise<string> {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  der.fill(0);
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

/**
 * Makes an authority: a root, or an intermediate under `parent`.
 * @param name Common name; two authorities may share one, which is what a forger does.
 */
export async function makeAuthority(name: string, options: AuthorityOptions): Promise<Authority> {
  const keys = await generateCertificateKeys();
  const issuerKeys = options.parent?.keys ?? keys;
  const extensions: Extension[] = [
    new BasicConstraintsExtension(true, options.parent ? 0 : undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(issuerKeys.publicKey),
  ];
  const certificate = await X509CertificateGenerator.create({
    subject: commonName(name),
    issuer: options.parent?.certificate.subjectName.toJSON() ?? commonName(name),
    notBefore: new Date(options.now - BACKDATE_MS),
    notAfter: new Date(options.now + (options.days ?? 3650) * DAY_MS),
    signingAlgorithm: CERTIFICATE_SIGNATURE_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: issuerKeys.privateKey,
    extensions,
  });
  return { name, certificate, certificatePem: certificatePem(certificate), keys };
}

/** Reads an authority that was written as PEM certificate and PKCS #8 PEM key. */
export async function readAuthority(certificate: string, privateKey: string): Promise<Authority> {
  const parsed = new X509Certificate(certificate);
  const body = privateKey.replace(/-----[A-Z ]+-----/g, "").replace(/\s+/g, "");
  const der = Uint8Array.fromBase64(body);
  const signing = await crypto.subtle.importKey("pkcs8", der, CERTIFICATE_KEY_ALGORITHM, true, ["sign"]);
  der.fill(0);
  const publicKey = await parsed.publicKey.export();
  return {
    name: parsed.subjectName.getField("CN")[0] ?? "",
    certificate: parsed,
    certificatePem: certificatePem(parsed),
    keys: { publicKey, privateKey: signing },
  };
}
