/** Structures of X.509 around a signature that is made elsewhere, such as in a token: SEQUENCE { content, algorithm, BIT STRING }. */

import { createPublicKey, verify } from "node:crypto";
import { Buffer } from "node:buffer";
import { children, DER, der, type DerElement, DerFault, oid, readWhole } from "./der.ts";

/** Signs bytes: ECDSA on P-256 with SHA-256 over `content`, DER. */
export type SignContent = (content: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, 3.2): no parameters. */
export const ECDSA_SHA256 = der(DER.sequence, oid("1.2.840.10045.4.3.2"));

/** Algorithms that a signature may have; SHA-1 and MD5 are not among them. */
const HASHES: Readonly<Record<string, string | null>> = Object.fromEntries(
  ([
    ["1.2.840.10045.4.3.2", "sha256"],
    ["1.2.840.10045.4.3.3", "sha384"],
    ["1.2.840.10045.4.3.4", "sha512"],
    ["1.2.840.113549.1.1.11", "sha256"],
    ["1.2.840.113549.1.1.12", "sha384"],
    ["1.2.840.113549.1.1.13", "sha512"],
    ["1.3.101.112", null],
  ] as const).map(([dotted, hash]) => [oid(dotted).toHex(), hash]),
);

/** Has `content` signed and puts both together. */
export async function signStructure(
  content: Uint8Array<ArrayBuffer>,
  sign: SignContent,
): Promise<Uint8Array<ArrayBuffer>> {
  const signature = await sign(content);
  return der(DER.sequence, content, ECDSA_SHA256, der(DER.bitString, Uint8Array.of(0), signature));
}

/** The parts of a signed structure, as they stand in its bytes. */
export interface SignedParts {
  readonly content: DerElement;
  readonly contentBytes: Uint8Array;
  /** AlgorithmIdentifier outside of what is signed. */
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** Takes a signed structure apart. @throws {DerFault} */
export function signedParts(bytes: Uint8Array): SignedParts {
  const [content, algorithm, signature, more] = children(bytes, readWhole(bytes, DER.sequence));
  if (
    content?.tag !== DER.sequence || algorithm?.tag !== DER.sequence || signature?.tag !== DER.bitString ||
    more !== undefined || bytes[signature.value] !== 0
  ) throw new DerFault("it is not content, algorithm and signature");
  return {
    content,
    contentBytes: bytes.subarray(content.start, content.end),
    algorithm: bytes.subarray(algorithm.start, algorithm.end),
    signature: bytes.subarray(signature.value + 1, signature.end),
  };
}

/**
 * Whether the signature is by this key, with an algorithm that is not weak.
 * @param publicKey SubjectPublicKeyInfo, DER.
 */
export function verifyStructure(parts: SignedParts, publicKey: Uint8Array): boolean {
  const [name] = children(parts.algorithm, readWhole(parts.algorithm, DER.sequence));
  const hash = name && HASHES[parts.algorithm.subarray(name.start, name.end).toHex()];
  if (hash === undefined) return false;
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    return verify(hash, parts.contentBytes, { key, dsaEncoding: "der" }, parts.signature);
  } catch {
    return false;
  }
}
