/**
 * Pseudonyms: what stands in a log for a person, an address, a card. A pseudonym is 16 bytes of a MAC of kind and identifier,
 * under a key that one log has: who holds the key finds the entries of a known identifier, and the logs of two operators cannot
 * be joined.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, toUtf8 } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import { PSEUDONYM_KINDS, type PseudonymKind } from "./events.ts";

/** Length of a pseudonym's MAC in bytes: no two of 2^40 identifiers meet by chance. */
export const PSEUDONYM_LENGTH = 16;
/** Least length of a pseudonym key in bytes. */
export const PSEUDONYM_KEY_LENGTH_MIN = 32;
/** Longest identifier in bytes. */
export const IDENTIFIER_LENGTH_MAX = 512;
/** Identifiers whose pseudonyms are remembered, so that a token is not asked for each entry. */
const REMEMBERED = 4096;

/** `<kind>:<22 characters of base64url>`; the last character holds 2 bits only. */
export const PSEUDONYM = new RegExp(`^(${PSEUDONYM_KINDS.join("|")}):[A-Za-z0-9_-]{21}[AQgw]$`);

/** Kind of a pseudonym. */
export function pseudonymKind(pseudonym: string): PseudonymKind {
  return pseudonym.slice(0, pseudonym.indexOf(":")) as PseudonymKind;
}

/** A MAC under a log's pseudonym key: at least 16 bytes. */
export type PseudonymMac = (message: Uint8Array) => Promise<Uint8Array>;

/**
 * HMAC-SHA256 under a key in memory.
 * @param key at least 32 bytes; the caller keeps and wipes it.
 * @throws {CodedError} `PSEUDONYM_KEY`.
 */
export function hmacPseudonyms(key: Secret): PseudonymMac {
  if (key.length < PSEUDONYM_KEY_LENGTH_MIN) {
    throw new CodedError("PSEUDONYM_KEY", `Cannot use pseudonym key: ${key.length} bytes, not 32 or more`);
  }
  return (message) => Promise.resolve(hmac(sha256, key.reveal(), message));
}

/** AES-CMAC under a master key of a token, as `Hsm.cmac` computes it: the key never leaves the token. */
export function hsmPseudonyms(
  hsm: { cmac(label: string, message: Uint8Array): Promise<Uint8Array> },
  label: string,
): PseudonymMac {
  return (message) => hsm.cmac(label, message);
}

/** Makes the pseudonyms of one log. */
export class Pseudonyms {
  readonly #known = new Map<string, string>();
  readonly #origin: string;
  readonly #mac: PseudonymMac;

  /**
   * @param origin origin of the log: it is in every MAC, so that one key by mistake used for two logs still joins nothing.
   */
  constructor(origin: string, mac: PseudonymMac) {
    this.#origin = origin;
    this.#mac = mac;
  }

  /**
   * The pseudonym of an identifier.
   * @param identifier as its owner writes it, 1 to 512 bytes of UTF-8.
   * @throws {CodedError} `PSEUDONYM_IDENTIFIER`.
   */
  async of(kind: PseudonymKind, identifier: string): Promise<string> {
    const bytes = toUtf8(identifier);
    if (bytes.length === 0 || bytes.length > IDENTIFIER_LENGTH_MAX || !identifier.isWellFormed()) {
      throw new CodedError(
        "PSEUDONYM_IDENTIFIER",
        `Cannot make pseudonym of a ${kind}: not 1 to 512 bytes of text`,
      );
    }
    const name = `${kind}:${identifier}`;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const mac = await this.#mac(
      concat(toUtf8(`recovery-key-log-pseudonym/v1\n${this.#origin}\n${kind}\n`), bytes),
    );
    const pseudonym = `${kind}:${
      mac.subarray(0, PSEUDONYM_LENGTH).toBase64({ alphabet: "base64url", omitPadding: true })
    }`;
    this.#known.set(name, pseudonym);
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    return pseudonym;
  }
}

defineErrors({
  PSEUDONYM_KEY: {
    fault: "configuration",
    retry: false,
    next: "Give the log a key of its own of 32 random bytes or more, in a file of mode 0600 or in the token.",
  },
  PSEUDONYM_IDENTIFIER: { fault: "bug", retry: false, next: "Report it." },
});
