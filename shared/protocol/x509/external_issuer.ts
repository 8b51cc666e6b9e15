/** Certificates whose signature is made elsewhere, such as in a token: an authority on P-256 and its clients' certificates. */

import { BACKDATE_MS, CERTIFICATE_SIGNATURE_ALGORITHM, commonName, DAY_MS } from "./authority.ts";
import { children, DER, readWhole } from "./der.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "./library.ts";
import { type SignContent, signStructure } from "./signed.ts";

/** Header of SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480, 2). */
const P256_SPKI_HEADER = Uint8Array.fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
/** Length of a serial number in bytes: 142 random bits of it; RFC 5280, 4.1.2.2 allows 20 bytes. */
export const SERIAL_LENGTH = 18;

/** SubjectPublicKeyInfo, DER, of an uncompressed P-256 point (65 bytes). */
export function p256Spki(point: Uint8Array): Uint8Array<ArrayBuffer> {
  const spki = new Uint8Array(P256_SPKI_HEADER.length + point.length);
  spki.set(P256_SPKI_HEADER);
  spki.set(point, P256_SPKI_HEADER.length);
  return spki;
}

/** A serial number from {@link SERIAL_LENGTH} random bytes: positive, never shorter; lower-case hex. */
export function serialFrom(random: Uint8Array): string {
  const bytes = random.slice(0, SERIAL_LENGTH);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toHex();
}

interface Fields {
  readonly serialNumber: string;
  readonly subject: { CN: string[] }[];
  readonly issuer: X509Certificate["subjectName"] | { CN: string[] }[];
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly extensions: Extension[];
}

/** The library builds the content around a signature of ones, which is then replaced. */
async function make(fields: Fields, sign: SignContent): Promise<X509Certificate> {
  const algorithm = { ...CERTIFICATE_SIGNATURE_ALGORITHM, namedCurve: "P-256" };
  const draft = await X509CertificateGenerator.create({
    serialNumber: fields.serialNumber,
    subject: fields.subject,
    issuer: Array.isArray(fields.issuer) ? fields.issuer : fields.issuer.toJSON(),
    notBefore: new Date(fields.notBefore),
    notAfter: new Date(fields.notAfter),
    signingAlgorithm: algorithm,
    publicKey: await crypto.subtle.importKey("spki", fields.publicKey, CURVE_OF(fields.publicKey), true, [
      "verify",
    ]),
    signature: new Uint8Array(64).fill(1),
    extensions: fields.extensions,
  });
  const bytes = new Uint8Array(draft.rawData);
  const [content] = children(bytes, readWhole(bytes, DER.sequence));
  return new X509Certificate(await signStructure(bytes.slice(content!.start, content!.end), sign));
}

/** P-384's object identifier, 1.3.132.0.34, is in the first bytes of its keys. */
const CURVE_OF = (spki: Uint8Array) => ({
  name: "ECDSA",
  namedCurve: spki.subarray(0, 32).toHex().includes("06052b81040022") ? "P-384" : "P-256",
});

/** What to write into an authority's own certificate. */
export interface AuthorityFields {
  readonly name: string;
  readonly serialNumber: string;
  /** Uncompressed P-256 point, 65 bytes. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly days: number;
}

/** Makes the self-signed certificate of an authority. */
export async function signAuthority(fields: AuthorityFields, sign: SignContent): Promise<X509Certificate> {
  const publicKey = p256Spki(fields.publicKey);
  const key = await crypto.subtle.importKey("spki", publicKey, { name: "ECDSA", namedCurve: "P-256" }, true, [
    "verify",
  ]);
  return await make({
    serialNumber: fields.serialNumber,
    subject: commonName(fields.name),
    issuer: commonName(fields.name),
    notBefore: fields.now - BACKDATE_MS,
    notAfter: fields.now + fields.days * DAY_MS,
    publicKey,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(key),
      await AuthorityKeyIdentifierExtension.create(key),
    ],
  }, sign);
}

/** What to write into a client's certificate. */
export interface ClientFields {
  readonly serialNumber: string;
  /** Common name; for people. */
  readonly name: string;
  /** The one URI name. */
  readonly identity: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** Makes a client's certificate. */
export async function signClient(
  issuer: X509Certificate,
  fields: ClientFields,
  sign: SignContent,
): Promise<X509Certificate> {
  const { publicKey } = fields;
  const key = await crypto.subtle.importKey("spki", publicKey, CURVE_OF(publicKey), true, ["verify"]);
  return await make({
    ...fields,
    subject: commonName(fields.name),
    issuer: issuer.subjectName,
    publicKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: "url", value: fields.identity }]),
      await SubjectKeyIdentifierExtension.create(key),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  }, sign);
}
