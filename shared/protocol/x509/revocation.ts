/** Writes certificate revocation lists (RFC 5280, section 5), signed by the authority whose certificates they name. */

import { type Authority, CERTIFICATE_SIGNATURE_ALGORITHM, DAY_MS } from "./authority.ts";
import { DER, der, derOfMany, oid, time, toPem, unsigned } from "./der.ts";
import { p256RawToLowSDer } from "shared/crypto/p256.ts";
import {
  AuthorityKeyIdentifierExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
} from "./library.ts";
import { ECDSA_SHA256, type SignContent, signStructure } from "./signed.ts";

/** What to write into a list. */
export interface CrlOptions {
  /** Time of issue (thisUpdate), milliseconds since 1970. */
  readonly now: number;
  /** When the next list is due: a reader treats this list as stale after it. Default 30 days after `now`. */
  readonly nextUpdate?: number;
  /** Number of the list (5.2.3), which only grows. Default `now`. */
  readonly number?: bigint;
  /** Serial numbers in hex, as `Issued.serialNumber`. */
  readonly revoked: readonly string[];
}

/** Makes a revocation list with the authority's own key, PEM with a final newline. */
export async function makeCrl(authority: Authority, options: CrlOptions): Promise<string> {
  const sign: SignContent = async (content) => {
    const { privateKey } = authority.keys;
    const raw = await crypto.subtle.sign(CERTIFICATE_SIGNATURE_ALGORITHM, privateKey, content);
    return p256RawToLowSDer(new Uint8Array(raw));
  };
  return toPem("X509 CRL", await signCrl(authority.certificate, sign, options));
}

/** Makes a revocation list whose signature comes from elsewhere, such as a token; DER. */
export async function signCrl(
  issuer: X509Certificate,
  sign: SignContent,
  options: CrlOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const when = time(options.now);
  const entries = options.revoked.map((serial) => {
    const hex = serial.length % 2 === 0 ? serial : `0${serial}`;
    return der(DER.sequence, unsigned(Uint8Array.fromHex(hex)), when);
  });
  const extension = (name: string, value: Uint8Array) =>
    der(DER.sequence, oid(name), der(DER.octetString, value));
  const keyIdentifier = issuer.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  const number = (options.number ?? BigInt(options.now)).toString(16);
  const extensions = [
    ...(keyIdentifier === undefined ? [] : [
      new Uint8Array(new AuthorityKeyIdentifierExtension(keyIdentifier).rawData),
    ]),
    extension("2.5.29.20", unsigned(Uint8Array.fromHex(number.length % 2 === 0 ? number : `0${number}`))),
  ];
  const content = der(
    DER.sequence,
    der(DER.integer, Uint8Array.of(1)),
    ECDSA_SHA256,
    new Uint8Array(issuer.subjectName.toArrayBuffer()),
    when,
    time(options.nextUpdate ?? options.now + 30 * DAY_MS),
    ...(entries.length > 0 ? [derOfMany(DER.sequence, entries)] : []),
    der(DER.context0, der(DER.sequence, ...extensions)),
  );
  return await signStructure(content, sign);
}
