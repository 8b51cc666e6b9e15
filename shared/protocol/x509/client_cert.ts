/** The Client-Cert field (RFC 9440): the certificate for which a gateway speaks. */

import { parseItem } from "structured-headers";

/** Its name. */
export const CLIENT_CERT_HEADER = "client-cert";
/** Longest value that is read, in characters: three quarters of it in bytes are more than any certificate of ours has. */
const CLIENT_CERT_MAX = 8192;

/** The certificate (DER) of a value: one byte sequence (RFC 9440, 2.1; RFC 9651). Undefined without a value, and for any other. */
export function clientCertificate(value: string | undefined): Uint8Array | undefined {
  if (value === undefined || value.length > CLIENT_CERT_MAX) return undefined;
  try {
    const [item] = parseItem(value);
    return item instanceof ArrayBuffer ? new Uint8Array(item) : undefined;
  } catch {
    return undefined;
  }
}
