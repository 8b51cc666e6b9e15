/**
 * Port to a hardware security module. Keys are named by label, never leave it and are made
 * non-extractable. Adapters: pkcs11/ (any vendor's library), software_hsm/ (demo only).
 */

import { defineErrors } from "../base/errors.ts";

/**
 * Curves of signing keys: secp256k1 for everything that a card or wallet verifies, P-256 for load files (GPC 2.3.1, B.4.3),
 * Ed25519 for the checkpoints of logs (C2SP signed-note).
 */
export const CURVES = ["secp256k1", "p256", "ed25519"] as const;
/** One of {@link CURVES}. */
export type Curve = (typeof CURVES)[number];

/**
 * What a key is for, and nothing else: `signing` ECDSA, `master` AES-CMAC, `storage` AES-256-GCM of data at rest, `mac`
 * HMAC-SHA256.
 */
export type HsmKeyKind = "signing" | "master" | "storage" | "mac";

/** What `seal` adds to a message, in bytes: the IV (12) before it and the tag (16) after it. */
export const SEAL_OVERHEAD = 28;

/** A key as a listing shows it. */
export interface HsmKey {
  readonly label: string;
  readonly kind: HsmKeyKind;
  /** Of a signing key. */
  readonly curve?: Curve;
}

/** What the services need from a token. */
export interface Hsm {
  /** `software` is not for production, and says so at every start. */
  readonly kind: "pkcs11" | "software";
  /** Model and serial of the token, for logs and `rk hsm status`. */
  describe(): Promise<{ kind: string; model: string; serial: string; label: string }>;
  /**
   * Makes a signing key pair, on secp256k1 unless told otherwise. Returns the public key (65; Ed25519: 32).
   * @throws {CodedError} `HSM_KEY_EXISTS`.
   */
  generateSigningKey(label: string, curve?: Curve): Promise<Uint8Array>;
  /** Makes an AES-256 master key for `cmac`. @throws {CodedError} `HSM_KEY_EXISTS`. */
  generateMasterKey(label: string): Promise<void>;
  /** Public key on the key's own curve: uncompressed (65), of Ed25519 as RFC 8032 has it (32). @throws {CodedError} `HSM_KEY_MISSING`. */
  publicKey(label: string): Promise<Uint8Array>;
  /**
   * Signature of `message` on the key's own curve, verified with the public key before it is returned: ECDSA with SHA-256 as
   * DER with low S; Ed25519 pure (RFC 8032, 5.1), 64 bytes.
   */
  sign(label: string, message: Uint8Array): Promise<Uint8Array>;
  /** AES-CMAC (16) of `message` under a master key. */
  cmac(label: string, message: Uint8Array): Promise<Uint8Array>;
  /** Makes an AES-256 key for `seal` and `open`. @throws {CodedError} `HSM_KEY_EXISTS`. */
  generateStorageKey(label: string): Promise<void>;
  /** Makes a key of 32 bytes for `hmac`. @throws {CodedError} `HSM_KEY_EXISTS`. */
  generateMacKey(label: string): Promise<void>;
  /**
   * Seals a message under a storage key: IV (12, random) || ciphertext || tag (16). AES-256-GCM, NIST SP 800-38D: one key
   * seals at most 2^32 messages (section 8.3), so replace the key before that.
   * @param associated bound to the message, not in the result.
   */
  seal(label: string, message: Uint8Array, associated: Uint8Array): Promise<Uint8Array>;
  /** Inverse of `seal`; the caller wipes the result. @throws {CodedError} `HSM_SEALED`, whatever is wrong with it. */
  open(label: string, sealed: Uint8Array, associated: Uint8Array): Promise<Uint8Array>;
  /** HMAC-SHA256 (32) of `message` under a MAC key. RFC 2104. */
  hmac(label: string, message: Uint8Array): Promise<Uint8Array>;
  /** Labels, kinds and curves of the keys that exist. */
  keys(): Promise<HsmKey[]>;
  /** Closes sessions and forgets the PIN. */
  close(): Promise<void>;
}

defineErrors({
  HSM_UNAVAILABLE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Check the token: `rk hsm status` tells what the library answers.",
  },
  HSM_BUSY: { fault: "service", retry: true, http: 503, next: "The token's queue is full: try again." },
  HSM_DEADLINE: { fault: "service", retry: true, http: 503, next: "The token was too slow: try again." },
  HSM_PIN: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "The token refused the PIN. It is not tried again: a token locks after a few wrong ones.",
  },
  HSM_KEY_MISSING: { fault: "configuration", retry: false, http: 500, next: "Make the key: `rk hsm init`." },
  HSM_KEY_EXISTS: {
    fault: "usage",
    retry: false,
    http: 409,
    next: "The key is there already: nothing to do.",
  },
  HSM_BAD_SIGNATURE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The token gave a signature that does not verify: take it out of service.",
  },
  HSM_SEALED: {
    fault: "service",
    retry: false,
    http: 500,
    next:
      "What is stored was changed, belongs elsewhere, or was sealed under another key: do not use it, and report it.",
  },
  HSM_LIBRARY: {
    fault: "installation",
    retry: false,
    next:
      "The PKCS#11 library or its Node binding does not load (Debian: apt-get install softhsm2 npm g++ make python3).",
  },
});
