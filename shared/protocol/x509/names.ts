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

/** Every name by which a certificate may be known. */
export interface CertificateNames {
  readonly uris: readonly string[];
  /** In lower case. */
  readonly dns: readonly string[];
  /** Relative distinguished names in order, each its attributes; such as `[{ CN: ["a"] }, { O: ["b"] }]`. */
  readonly subject: readonly Readonly<Record<string, readonly string[]>>[];
}

/** The names of a certificate; none when it is malformed. */
export function certificateNames(certificate: X509Certificate | Uint8Array): CertificateNames {
  try {
    const parsed = certificate instanceof Uint8Array
      ? new X509Certificate(new Uint8Array(certificate))
      : certificate;
    const names = parsed.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    return {
      uris: names.filter((name) => name.type === "url").map((name) => name.value),
      dns: names.filter((name) => name.type === "dns").map((name) => name.value.toLowerCase()),
      subject: parsed.subjectName.toJSON(),
    };
  } catch {
    return { uris: [], dns: [], subject: [] };
  }
}
