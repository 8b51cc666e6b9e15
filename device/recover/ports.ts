/** What the device's part of Recover needs around it: keys, memory, and the person who holds the device. */

import type { Secret } from "shared/base/secret.ts";
import type { DeviceCertificate } from "shared/protocol/recover/certificates.ts";
import type { Identity } from "shared/protocol/recover/identity.ts";

/** What a device is made with. */
export interface RecoverIdentity {
  /** 4 bytes. */
  readonly targetId: Uint8Array;
  /** The static key, 32 bytes, and the issuer's certificate for it. */
  readonly staticKey: Secret;
  readonly certificate: DeviceCertificate;
  /** 65 bytes: the root of trust that is always there. */
  readonly issuerPublicKey: Uint8Array;
  /** 32 bytes, common to all devices; it comes with a signed operating system, never from this service. */
  readonly entropyEncryptionKey: Secret;
}

/** A root that the user enrolled. */
export interface CustomRoot {
  readonly name: string;
  /** 65 bytes. */
  readonly publicKey: Uint8Array;
}

/** What the device remembers. */
export interface RecoverMemory {
  /** A copy of the seed's entropy, which the caller wipes; undefined when the device is empty. */
  entropy(): Secret | undefined;
  /** Makes the device hold this seed; it was empty. What is written has been read back. Takes the entropy over. */
  restore(entropy: Secret): void;
  roots(): readonly CustomRoot[];
  /** Adds a root. */
  enrol(root: CustomRoot): void;
  /** Removes a root. Returns whether it was there. */
  remove(root: CustomRoot): boolean;
}

/** The person. Every question is answered on the device; no is an answer. */
export interface RecoverPerson {
  /** Whose seed, under which name, and for what. */
  confirmIdentity(identity: Identity, flow: "backup" | "restore" | "delete"): Promise<boolean>;
  /** Four digits, to be told to the identity verification of the first provider. */
  showSecurityCode(code: string): void;
  /** Whether the seed of this backup shall come to this device. */
  confirmRestore(identity: Identity, providerName: string): Promise<boolean>;
  /** Whether a root other than the issuer shall be trusted, or no longer be. */
  confirmRoot(root: CustomRoot, action: "enrol" | "remove"): Promise<boolean>;
  /** Whether this provider shall delete its share. */
  confirmDelete(identity: Identity, providerName: string): Promise<boolean>;
  /** What has happened. */
  tell(what: "share-stored" | "seed-restored" | "deleted", providerName: string): void;
}
