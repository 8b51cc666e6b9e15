/**
 * The list of revoked card certificates, as wallets take it: a compact JWS (RFC 7515) with ES256K (RFC 8812), signed by the
 * issuer's key, which every wallet has. Its signed bytes begin with the letters of `{"` in base64url, `eyJ`: never with a role
 * byte (spec/card.md, 5) or the first tag of a certificate (5.1), so nothing that the key signs can pass for another. `number`
 * only grows, and `nextUpdate` bounds how long an old list can be shown to a wallet. Which lists a wallet takes: `mayUseList`.
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import { equal, fromUtf8, toHex, toUtf8 } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { compactSignature, compactVerify } from "../../crypto/secp256k1.ts";

/** Media type of the list. */
export const REVOCATION_LIST_MEDIA_TYPE = "application/jose";
/** `typ` of the JWS header: what this key signs in this form, and nothing else. */
export const REVOCATION_LIST_TYPE = "recovery-key-revocations+jws";
/** Longest list that is read, in characters: about 100,000 certificates. */
export const REVOCATION_LIST_MAX = 24 * 1024 * 1024;
/** A list may come from a clock that is ahead by this much, in seconds. */
export const REVOCATION_CLOCK_SECONDS = 300;

const Header = z.strictObject({
  alg: z.literal("ES256K"),
  typ: z.literal(REVOCATION_LIST_TYPE),
  kid: z.string().regex(/^[0-9A-F]{64}$/),
});
const Seconds = z.int().min(0).max(0xffff_ffff);

/** The payload. Times are seconds since 1970. */
export const RevocationList = z.strictObject({
  /** Grows with every list. */
  number: z.int().min(1),
  thisUpdate: Seconds,
  /** A wallet refuses the list from here on. */
  nextUpdate: Seconds,
  revoked: z.array(z.strictObject({
    /** SHA-256 of the certificate, upper-case hex. */
    certificateSha256: z.string().regex(/^[0-9A-F]{64}$/),
    /** 4 bytes, upper-case hex: for people. A superseded certificate's serial is still in use, with another one. */
    serial: z.string().regex(/^[0-9A-F]{8}$/),
    /** `missing` is a hold: the card left the factory's books, and may be entered again. */
    reason: z.enum(["superseded", "scrapped", "missing"]),
  })),
});
/** The payload; see the schema. */
export type RevocationList = z.infer<typeof RevocationList>;

/** What a list's header names the issuer's key by: SHA-256 of its 65 bytes. */
export function issuerKeyId(issuerPublicKey: Uint8Array): string {
  return toHex(createHash("sha256").update(issuerPublicKey).digest());
}

/** The bytes that the issuer signs for a list. @param issuerPublicKey 65 bytes. */
export function revocationListMessage(list: RevocationList, issuerPublicKey: Uint8Array): Uint8Array {
  const header = { alg: "ES256K", typ: REVOCATION_LIST_TYPE, kid: issuerKeyId(issuerPublicKey) };
  return toUtf8(`${part(JSON.stringify(header))}.${part(JSON.stringify(RevocationList.parse(list)))}`);
}

/** The whole list. @param message of `revocationListMessage`. @param signature DER. */
export function finishRevocationList(message: Uint8Array, signature: Uint8Array): string {
  return `${fromUtf8(message)}.${base64url(compactSignature(signature))}`;
}

/**
 * Reads a list: signature first, then its form.
 * @param issuerPublicKey 65 bytes.
 * @throws {CodedError} `REVOCATION_LIST_SIGNATURE` when the issuer did not sign it, `REVOCATION_LIST_MALFORMED`.
 */
export function readRevocationList(text: string, issuerPublicKey: Uint8Array): RevocationList {
  const parts = text.length > REVOCATION_LIST_MAX ? [] : text.trim().split(".");
  if (parts.length !== 3) throw malformed("it is no compact JWS");
  const [header, payload, signature] = parts.map(bytesOf) as [Uint8Array, Uint8Array, Uint8Array];
  const { kid } = json(header, Header, "its header");
  const named = equal(toUtf8(kid), toUtf8(issuerKeyId(issuerPublicKey)));
  if (!named || !compactVerify(issuerPublicKey, toUtf8(`${parts[0]}.${parts[1]}`), signature)) {
    throw new CodedError(
      "REVOCATION_LIST_SIGNATURE",
      "Cannot use revocation list: the issuer did not sign it",
    );
  }
  return json(payload, RevocationList, "its content");
}

/** Outcome of `mayUseList`. */
export type ListDecision =
  | { readonly kind: "accept" }
  | {
    readonly kind: "refuse";
    readonly code: "REVOCATION_LIST_STALE" | "REVOCATION_LIST_FUTURE" | "REVOCATION_LIST_ROLLED_BACK";
  };

/**
 * Whether a wallet takes a list.
 * @param now Seconds since 1970.
 * @param newest Number of the newest list that this wallet took from this issuer; 0 when it took none.
 */
export function mayUseList(
  list: Pick<RevocationList, "number" | "thisUpdate" | "nextUpdate">,
  now: number,
  newest: number,
): ListDecision {
  if (list.number < newest) return { kind: "refuse", code: "REVOCATION_LIST_ROLLED_BACK" };
  if (list.thisUpdate > now + REVOCATION_CLOCK_SECONDS) {
    return { kind: "refuse", code: "REVOCATION_LIST_FUTURE" };
  }
  if (now >= list.nextUpdate) return { kind: "refuse", code: "REVOCATION_LIST_STALE" };
  return { kind: "accept" };
}

function part(text: string): string {
  return base64url(toUtf8(text));
}

function base64url(bytes: Uint8Array): string {
  return new Uint8Array(bytes).toBase64({ alphabet: "base64url", omitPadding: true });
}

function bytesOf(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch {
    throw malformed("it is not base64url");
  }
}

function json<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  try {
    return schema.parse(JSON.parse(fromUtf8(bytes)));
  } catch {
    throw malformed(`${what} is not what it must be`);
  }
}

function malformed(why: string): CodedError {
  return new CodedError("REVOCATION_LIST_MALFORMED", `Cannot read revocation list: ${why}`);
}

defineErrors({
  REVOCATION_LIST_MALFORMED: {
    fault: "configuration",
    retry: false,
    next: "Fetch the list again: GET /v1/revocations of the attestation service.",
  },
  REVOCATION_LIST_SIGNATURE: {
    fault: "configuration",
    retry: false,
    next:
      "The list is not of the issuer in the trust file, or was changed: fetch it again, and tell whoever gave it.",
  },
  REVOCATION_LIST_STALE: {
    fault: "configuration",
    retry: true,
    next: "The list is past its nextUpdate: fetch a new one. If it is new, set this machine's clock.",
  },
  REVOCATION_LIST_FUTURE: {
    fault: "configuration",
    retry: true,
    next: "The list is of a later time than this machine's clock: set the clock.",
  },
  REVOCATION_LIST_ROLLED_BACK: {
    fault: "configuration",
    retry: false,
    next: "A newer list was used before: fetch the list again, and find out who gave an old one.",
  },
});
