/** Certificate requests (PKCS #10, RFC 2986) as a client sends them: read strictly, proof of possession checked. */

import { createHash } from "node:crypto";
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
} from "shared/protocol/x509/library.ts";
import type { CertificateNames } from "shared/protocol/x509/names.ts";
import { signedParts, verifyStructure } from "shared/protocol/x509/signed.ts";

/** Longest request in bytes of DER: one with a large key and many names has a tenth. */
export const REQUEST_LIMIT_BYTES = 8_192;

/** What a request asks for. */
export interface CertificateRequest {
  /** SHA-256 of the whole request (32). */
  readonly digest: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly curve: "P-256" | "P-384";
  readonly subject: CertificateNames["subject"];
  /** Every subject alternative name. */
  readonly names: readonly { readonly type: string; readonly value: string }[];
}

/** Why a request is not looked at further. */
export type RequestFault =
  | "request-malformed"
  | "request-too-large"
  | "request-key"
  | "request-proof"
  | "request-extension";

/** A request that was read, or why not. */
export type RequestReading =
  | { readonly kind: "request"; readonly request: CertificateRequest }
  | { readonly kind: "fault"; readonly fault: RequestFault };

const CURVES = new Set(["P-256", "P-384"]);
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
/** What tools write by habit: it is not copied, the profile of the certificate is ours. SKI, KU, BC, EKU. */
const TOLERATED = new Set(["2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.37", SUBJECT_ALTERNATIVE_NAME]);
const BASE64 = /^[A-Za-z0-9+/=\s]+$/;

/** Reads the body of an enrolment: base64 of DER, lines or not (RFC 7030, 4.2.1, RFC 8951). */
export function readRequestBody(body: Uint8Array): Uint8Array | undefined {
  const text = new TextDecoder().decode(body);
  if (!BASE64.test(text)) return undefined;
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}

/** Reads a request and checks that who sent it has the key. */
export function parseRequest(der: Uint8Array): RequestReading {
  const fault = (fault: RequestFault): RequestReading => ({ kind: "fault", fault });
  if (der.length > REQUEST_LIMIT_BYTES) return fault("request-too-large");
  try {
    const parts = signedParts(der);
    const parsed = new Pkcs10CertificateRequest(new Uint8Array(der));
    const publicKey = new Uint8Array(parsed.publicKey.rawData);
    const algorithm = parsed.publicKey.algorithm as { name: string; namedCurve?: string };
    const curve = algorithm.namedCurve ?? "";
    if (algorithm.name !== "ECDSA" || !CURVES.has(curve)) return fault("request-key");
    if (!verifyStructure(parts, publicKey)) return fault("request-proof");
    if (parsed.getAttributes(EXTENSION_REQUEST).length > 1) return fault("request-extension");
    const { extensions } = parsed;
    const types = extensions.map(({ type }) => type);
    if (types.some((type) => !TOLERATED.has(type)) || new Set(types).size !== types.length) {
      return fault("request-extension");
    }
    for (const extension of extensions) {
      if (extension instanceof BasicConstraintsExtension && extension.ca) return fault("request-extension");
    }
    const names = extensions.find((extension) => extension instanceof SubjectAlternativeNameExtension);
    return {
      kind: "request",
      request: {
        digest: new Uint8Array(createHash("sha256").update(der).digest()),
        publicKey,
        curve: curve === "P-384" ? "P-384" : "P-256",
        subject: parsed.subjectName.toJSON(),
        names: (names?.names.items ?? []).map(({ type, value }) => ({ type, value })),
      },
    };
  } catch {
    return fault("request-malformed");
  }
}
