/**
 * Signed requests between our own processes: HTTP Message Signatures (RFC 9421) with Ed25519, the body
 * bound by Content-Digest (RFC 9530, SHA-256). One profile, nothing negotiated: which components and which
 * parameters a signature has is fixed here, and anything else is refused. Replay is for the receiver to
 * refuse: it stores (keyId, nonce) until `expiresAt` in the transaction that has the effect.
 */

import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { httpbis, type SignatureParameters } from "http-message-signatures";
import { isInnerList, parseDictionary } from "structured-headers";
import { equal } from "../../base/bytes.ts";

/** Covered components, each without parameters (RFC 9421, section 2). */
export const SIGNED_COMPONENTS = ["@method", "@path", "content-digest", "content-type"] as const;
/** Signature parameters, all required, no other allowed (RFC 9421, section 2.3). */
export const SIGNED_PARAMETERS = ["created", "keyid", "nonce", "alg", "tag"] as const;
/** Value of `tag`: signatures made for another application are refused. */
export const SIGNATURE_TAG = "recovery-key";
/** Value of `alg` (RFC 9421, section 3.3.6). */
export const SIGNATURE_ALGORITHM = "ed25519";
/** `created` may differ from the receiver's clock by this much, either way. */
export const SIGNATURE_AGE_SECONDS = 300;
/** A nonce is 22 to 64 characters of base64url: 128 bits or more. */
export const NONCE_PATTERN = /^[A-Za-z0-9_-]{22,64}$/;

const LABEL = "sig";
const SIGNATURE_LENGTH = 64;
/** Longest header that is parsed, in characters. Ours have about 250. */
const HEADER_MAX = 1024;

/** What to sign. */
export interface SignRequestOptions {
  readonly method: string;
  /** Path without query, as sent. */
  readonly path: string;
  readonly body: Uint8Array;
  /** Content type as sent. Default `application/json`. */
  readonly contentType?: string;
  /** The sender's name. */
  readonly keyId: string;
  /** Ed25519 private key. */
  readonly privateKey: CryptoKey | JsonWebKey;
  /** See `NONCE_PATTERN`; never used twice by a sender. `freshNonce` makes one. */
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** A request as it arrived. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path without query. */
  readonly path: string;
  /** Headers by lower-case name; a header that came twice is joined with ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

/** How to verify. */
export interface VerifyRequestOptions {
  /** The receiver's clock, seconds since 1970. */
  readonly now: number;
  /** Ed25519 public key of a sender, or undefined for a stranger. */
  readonly findKey: (
    keyId: string,
  ) => CryptoKey | JsonWebKey | undefined | Promise<CryptoKey | JsonWebKey | undefined>;
}

/** Why a request was refused: for the log. The sender is told only that its signature was not accepted. */
export type SignatureRefusal =
  | "missing"
  | "malformed"
  | "components"
  | "parameters"
  | "unknown-key"
  | "too-old"
  | "in-future"
  | "digest"
  | "signature";

/** Outcome of `verifyRequest`. */
export type SignatureVerdict =
  | {
    readonly kind: "accept";
    readonly keyId: string;
    readonly nonce: string;
    /** Seconds since 1970. */
    readonly created: number;
    /** From this second on the signature is too old by itself, and its nonce may be forgotten. */
    readonly expiresAt: number;
  }
  | { readonly kind: "refuse"; readonly reason: SignatureRefusal };

/** A fresh nonce of 16 random bytes, given as `random`. */
export function freshNonce(random: (length: number) => Uint8Array): string {
  return random(16).toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Content-Digest of a body (RFC 9530, section 2). */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
}

const imported = {
  sign: new WeakMap<object, Promise<CryptoKey>>(),
  verify: new WeakMap<object, Promise<CryptoKey>>(),
};

/** Imports a JWK once; a CryptoKey passes through. */
function ed25519Key(key: CryptoKey | JsonWebKey, usage: "sign" | "verify"): Promise<CryptoKey> {
  if (key instanceof CryptoKey) return Promise.resolve(key);
  let pending = imported[usage].get(key);
  if (pending === undefined) {
    const { kty, crv, x, d } = key;
    const jwk = usage === "sign" ? { kty, crv, x, d } : { kty, crv, x };
    pending = crypto.subtle.importKey("jwk", jwk, { name: "Ed25519" }, false, [usage]);
    imported[usage].set(key, pending);
  }
  return pending;
}

/**
 * Signs a request.
 * @returns the headers to send with it: content-type, content-digest, signature-input, signature.
 */
export async function signRequest(options: SignRequestOptions): Promise<Record<string, string>> {
  const key = await ed25519Key(options.privateKey, "sign");
  const signed = await httpbis.signMessage({
    key: {
      id: options.keyId,
      alg: SIGNATURE_ALGORITHM,
      sign: async (base) => Buffer.from(await crypto.subtle.sign("Ed25519", key, Uint8Array.from(base))),
    },
    name: LABEL,
    fields: [...SIGNED_COMPONENTS],
    params: [...SIGNED_PARAMETERS],
    paramValues: {
      created: new Date(options.created * 1000),
      nonce: options.nonce,
      tag: SIGNATURE_TAG,
    },
  }, {
    method: options.method,
    url: absolute(options.path),
    headers: {
      "content-type": options.contentType ?? "application/json",
      "content-digest": contentDigest(options.body),
    },
  });
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(signed.headers)) headers[name.toLowerCase()] = String(value);
  return headers;
}

/**
 * Verifies a request: form first, then sender, time, body, and the signature last. A refusal is a value.
 * The caller compares `keyId` with the identity of the connection and refuses a nonce that it has seen.
 */
export async function verifyRequest(
  request: ReceivedRequest,
  options: VerifyRequestOptions,
): Promise<SignatureVerdict> {
  const { headers } = request;
  const refuse = (reason: SignatureRefusal): SignatureVerdict => ({ kind: "refuse", reason });
  if (!headers["signature"] || !headers["signature-input"] || !headers["content-digest"]) {
    return refuse("missing");
  }
  const form = readForm(headers["signature-input"], headers["signature"], headers["content-digest"]);
  if (typeof form === "string") return refuse(form);
  const publicKey = await options.findKey(form.keyId);
  if (publicKey === undefined) return refuse("unknown-key");
  if (options.now - form.created > SIGNATURE_AGE_SECONDS) return refuse("too-old");
  if (form.created - options.now > SIGNATURE_AGE_SECONDS) return refuse("in-future");
  const digest = createHash("sha256").update(request.body).digest();
  if (!equal(form.digest, digest)) return refuse("digest");

  const key = await ed25519Key(publicKey, "verify");
  let valid: boolean | null = false;
  try {
    valid = await httpbis.verifyMessage({
      // The library's own clock is not used: time was checked above against the clock that was given.
      notAfter: Number.MAX_SAFE_INTEGER,
      all: true,
      requiredFields: [...SIGNED_COMPONENTS],
      requiredParams: [...SIGNED_PARAMETERS],
      keyLookup: (parameters: SignatureParameters) =>
        Promise.resolve(
          parameters.keyid !== form.keyId ? null : {
            id: form.keyId,
            algs: [SIGNATURE_ALGORITHM],
            verify: (base: Buffer, signature: Buffer) =>
              crypto.subtle.verify("Ed25519", key, Uint8Array.from(signature), Uint8Array.from(base)),
          },
        ),
    }, {
      method: request.method,
      url: absolute(request.path),
      headers: Object.fromEntries(
        Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ),
    });
  } catch {
    // The library throws for what it cannot build a signature base from, such as a missing content-type.
    valid = false;
  }
  if (valid !== true) return refuse("signature");
  return {
    kind: "accept",
    keyId: form.keyId,
    nonce: form.nonce,
    created: form.created,
    expiresAt: form.created + SIGNATURE_AGE_SECONDS + 1,
  };
}

interface Form {
  readonly keyId: string;
  readonly nonce: string;
  readonly created: number;
  readonly digest: Uint8Array;
}

/** Reads the three headers strictly: one signature, our components, our parameters. */
function readForm(input: string, signature: string, digest: string): Form | SignatureRefusal {
  if (input.length > HEADER_MAX || signature.length > HEADER_MAX || digest.length > HEADER_MAX) {
    return "malformed";
  }
  try {
    const inputs = parseDictionary(input);
    const signatures = parseDictionary(signature);
    const [label] = inputs.keys();
    const entry = label === undefined ? undefined : inputs.get(label);
    const bytes = label === undefined ? undefined : signatures.get(label)?.[0];
    if (inputs.size !== 1 || signatures.size !== 1 || entry === undefined || !isInnerList(entry)) {
      return "malformed";
    }
    if (!(bytes instanceof ArrayBuffer) || bytes.byteLength !== SIGNATURE_LENGTH) return "malformed";
    const [items, parameters] = entry;
    const names = new Set(items.map(([name]) => name));
    if (
      items.length !== SIGNED_COMPONENTS.length || items.some(([, more]) => more.size !== 0) ||
      !SIGNED_COMPONENTS.every((name) => names.has(name))
    ) return "components";
    const created = parameters.get("created");
    const keyId = parameters.get("keyid");
    const nonce = parameters.get("nonce");
    if (
      parameters.size !== SIGNED_PARAMETERS.length || !Number.isSafeInteger(created) ||
      typeof created !== "number" || typeof keyId !== "string" || typeof nonce !== "string" ||
      !NONCE_PATTERN.test(nonce) || parameters.get("alg") !== SIGNATURE_ALGORITHM ||
      parameters.get("tag") !== SIGNATURE_TAG
    ) return "parameters";
    const sha256 = parseDictionary(digest).get("sha-256")?.[0];
    if (!(sha256 instanceof ArrayBuffer)) return "malformed";
    return { keyId, nonce, created, digest: new Uint8Array(sha256) };
  } catch {
    return "malformed";
  }
}

/** The library wants a URL; scheme and authority are not covered, so any will do. */
function absolute(path: string): string {
  return `https://recovery-key.invalid${path}`;
}
