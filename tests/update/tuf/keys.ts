/** Signing keys of simulated repositories, of every kind that clients must know. */

import { Buffer } from "node:buffer";
import { constants, createHash, generateKeyPairSync, sign } from "node:crypto";
import { canonicalize } from "@tufjs/canonical-json";

/** A key as metadata shows it. */
export type KeyJson = Record<string, unknown>;

/** A key that signs. */
export interface Signer {
  readonly id: string;
  readonly json: KeyJson;
  /** Hex. */
  sign(message: Uint8Array): string;
}

/** Kinds of key, by their scheme. */
export const SCHEMES = [
  "ed25519",
  "ecdsa-sha2-nistp256",
  "rsassa-pss-sha256",
  "rsa-pkcs1v15-sha256",
] as const;
/** One of {@link SCHEMES}. */
export type Scheme = (typeof SCHEMES)[number];

const pem = { type: "spki", format: "pem" } as const;

/** Makes a key. @param extra further fields of the key. */
export function newSigner(scheme: Scheme = "ed25519", extra: KeyJson = {}): Signer {
  if (scheme === "ed25519") {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
    return signer("ed25519", scheme, raw, extra, (message) => sign(undefined, message, privateKey));
  }
  if (scheme === "ecdsa-sha2-nistp256") {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return signer(
      "ecdsa",
      scheme,
      publicKey.export(pem) as string,
      extra,
      (message) => sign("sha256", message, privateKey),
    );
  }
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const padding = scheme === "rsassa-pss-sha256"
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    : { padding: constants.RSA_PKCS1_PADDING };
  return signer(
    "rsa",
    scheme,
    publicKey.export(pem) as string,
    extra,
    (message) => sign("sha256", message, { key: privateKey, ...padding }),
  );
}

/** The same key under another identifier. */
export function renamed(original: Signer, id: string): Signer {
  return { ...original, id };
}

function signer(
  keytype: string,
  scheme: string,
  publicKey: string,
  extra: KeyJson,
  make: (message: Uint8Array) => Uint8Array,
): Signer {
  const json = { keytype, scheme, keyval: { public: publicKey }, ...extra };
  const id = createHash("sha256").update(canonicalize(json)).digest("hex");
  return { id, json, sign: (message) => Buffer.from(make(message)).toString("hex") };
}
