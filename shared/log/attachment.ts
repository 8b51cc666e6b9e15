/**
 * Attachments: what belongs to an entry and may have to be forgotten. The leaf holds a commitment only. The content lies beside the
 * log, encrypted under a random key of its own, and that key lies in another place: when it is deleted the content cannot be read
 * and the commitment tells nothing, while the tree verifies as before.
 */

import { gcm } from "@noble/ciphers/aes.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equalConstantTime, toUtf8 } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import type { RandomSource } from "../transport/random.ts";

/** Length of an attachment's key in bytes. */
export const ATTACHMENT_KEY_LENGTH = 32;
/** Longest attachment in bytes. */
export const ATTACHMENT_LENGTH_MAX = 1_048_576;

const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;
const CONTEXT = toUtf8("recovery-key-log-attachment/v1");

/** An attachment, ready to be kept. */
export interface SealedAttachment {
  /** What the leaf holds (32): HMAC-SHA256 of the content, under a key derived from {@link key}. */
  readonly commitment: Uint8Array;
  /** Nonce (12), AES-256-GCM of the content, tag (16). */
  readonly sealed: Uint8Array;
  /** Random key (32): kept apart, and deleted to forget. */
  readonly key: Secret;
}

function derive(key: Secret, purpose: string): Secret {
  return new Secret(hkdf(sha256, key.reveal(), undefined, concat(CONTEXT, toUtf8(`/${purpose}`)), 32));
}

/** Encrypts an attachment under a fresh key. @throws {CodedError} `ATTACHMENT_TOO_LARGE`. */
export function sealAttachment(content: Uint8Array, random: RandomSource): SealedAttachment {
  if (content.length > ATTACHMENT_LENGTH_MAX) {
    throw new CodedError("ATTACHMENT_TOO_LARGE", `Cannot attach ${content.length} bytes: over 1 MiB`);
  }
  const key = new Secret(random(ATTACHMENT_KEY_LENGTH));
  using encryption = derive(key, "encryption");
  using authentication = derive(key, "commitment");
  const nonce = random(NONCE_LENGTH);
  return {
    key,
    commitment: hmac(sha256, authentication.reveal(), content),
    sealed: concat(nonce, gcm(encryption.reveal(), nonce, CONTEXT).encrypt(content)),
  };
}

/**
 * Opens an attachment and compares it with the leaf's commitment.
 * @throws {CodedError} `ATTACHMENT_UNREADABLE` when key, content and commitment do not belong together.
 */
export function openAttachment(sealed: Uint8Array, key: Secret, commitment: Uint8Array): Uint8Array {
  const unreadable = () =>
    new CodedError("ATTACHMENT_UNREADABLE", "Cannot open attachment: it is not the one that the entry names");
  if (key.length !== ATTACHMENT_KEY_LENGTH || sealed.length < NONCE_LENGTH + TAG_LENGTH) throw unreadable();
  using encryption = derive(key, "encryption");
  using authentication = derive(key, "commitment");
  let content: Uint8Array;
  try {
    content = gcm(encryption.reveal(), sealed.subarray(0, NONCE_LENGTH), CONTEXT)
      .decrypt(sealed.subarray(NONCE_LENGTH));
  } catch {
    throw unreadable();
  }
  if (!equalConstantTime(hmac(sha256, authentication.reveal(), content), commitment)) {
    content.fill(0);
    throw unreadable();
  }
  return content;
}

defineErrors({
  ATTACHMENT_TOO_LARGE: { fault: "usage", retry: false, next: "Attach at most 1 MiB." },
  ATTACHMENT_UNREADABLE: {
    fault: "peer",
    retry: false,
    next: "The file was changed or belongs to another entry: keep it, and ask whoever runs the log.",
  },
});
