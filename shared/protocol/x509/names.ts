/** Names in a certificate, read from its DER: the printed list can be forged by a name that holds a comma. */

import { SubjectAlternativeNameExtension, X509Certificate } from "./library.ts";

/** The URI subject alternative names, in order; none when the certificate is malformed. */
export function uriNames(certificate: X509Certificate | Uint8Array): string[] {
  try {
    const parsed = certificate instanceof Uint8Array
      ? new X509Certificate(new Uint8Array(certificate))
      : certificate;
    const names = parsed.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    return names.filter((name) => name.type === "url").map((name) => name.value);
  } catch {
    return [];
  }
}
