/**
 * Port to a hardware security module. Keys are named by label, never leave it and are made
 * non-extractable. Adapters: pkcs11/ (any vendor's library), software_hsm/ (demo only).
 */

import { defineErrors } from "../base/errors.ts";

/** What the services need from a token. */
export interface Hsm {
  /** `software` is not for production, and says so at every start. */
  readonly kind: "pkcs11" | "software";
  /** Model and serial of the token, for logs and `rk hsm status`. */
  describe(): Promise<{ kind: string; model: string; serial: string; label: string }>;
  /** Makes a secp256k1 signing key pair. Returns the public key (65). @throws {CodedError} `HSM_KEY_EXISTS`. */
  generateSigningKey(label: string): Promise<Uint8Array>;
  /** Makes an AES-256 master key for `cmac`. @throws {CodedError} `HSM_KEY_EXISTS`. */
  generateMasterKey(label: string): Promise<void>;
  /** Uncompressed public key (65). @throws {CodedError} `HSM_KEY_MISSING`. */
  publicKey(label: string): Promise<Uint8Array>;
  /** ECDSA with SHA-256 over `message`: DER, low-S, verified with the public key before it is returned. */
  sign(label: string, message: Uint8Array): Promise<Uint8Array>;
  /** AES-CMAC (16) of `message` under a master key. */
  cmac(label: string, message: Uint8Array): Promise<Uint8Array>;
  /** Labels and kinds of the keys that exist. */
  keys(): Promise<{ label: string; kind: "signing" | "master" }[]>;
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
