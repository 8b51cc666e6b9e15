/** Messages of Enrolment over Secure Transport (RFC 7030): certs-only answers and the attributes that a request should have. */

import { DER, der, oid } from "shared/protocol/x509/der.ts";

/** Media types of RFC 7030, 3.2.4. */
export const EST_MEDIA = {
  request: "application/pkcs10",
  certificates: "application/pkcs7-mime; smime-type=certs-only",
  attributes: "application/csrattrs",
} as const;

const SIGNED_DATA = oid("1.2.840.113549.1.7.2");
const DATA = oid("1.2.840.113549.1.7.1");

/** A PKCS #7 of certificates alone (RFC 5652, 5.1; RFC 7030, 4.1.3): no content, no signers. @param certificates DER. */
export function certificatesOnly(certificates: readonly Uint8Array[]): Uint8Array {
  const set = (...parts: Uint8Array[]) => der(DER.set, ...parts);
  return der(
    DER.sequence,
    SIGNED_DATA,
    der(
      DER.context0,
      der(
        DER.sequence,
        der(DER.integer, Uint8Array.of(1)),
        set(),
        der(DER.sequence, DATA),
        der(DER.context0, ...certificates),
        set(),
      ),
    ),
  );
}

/** What a request should have (RFC 7030, 4.5.2): a key on P-256, a signature with SHA-256. */
export function requestAttributes(): Uint8Array {
  return der(
    DER.sequence,
    der(DER.sequence, oid("1.2.840.10045.2.1"), der(DER.set, oid("1.2.840.10045.3.1.7"))),
    oid("1.2.840.10045.4.3.2"),
  );
}

/** Base64 in lines of 64, as every body of EST is; without carriage returns, over which `base64 -d` stumbles. */
export function toBody(bytes: Uint8Array): string {
  return `${(bytes.toBase64().match(/.{1,64}/g) ?? []).join("\n")}\n`;
}
