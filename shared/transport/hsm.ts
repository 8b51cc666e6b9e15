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

/** A key as a listing shows it. */
export interface HsmKey {
  readonly label: string;
  readonly kind: "signing" | "master";
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
  HSM_LIBRARY: {
    fault: "installation",
    retry: false,
    next:
      "The PKCS#11 library or its Node binding does not load (Debian: apt-get install softhsm2 npm g++ make python3).",
  },
});
