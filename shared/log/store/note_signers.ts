/** Keys that sign a log's checkpoints: in the HSM, or sealed nowhere better than in a file. */

import { toUtf8 } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import { ed25519PublicKeyOf, ed25519Sign } from "../../crypto/ed25519.ts";
import type { Hsm } from "../../transport/hsm.ts";
import type { NoteSigner } from "../note.ts";
import { SIGNATURE_TYPE_ED25519, type VerifierKey, verifierKey } from "../vkey.ts";

/** A signer, and the key that its notes are verified with. */
export interface LogSigner extends NoteSigner {
  readonly verifierKey: VerifierKey;
}

/**
 * A log's key in a token; the token verifies each signature before it is given.
 * @param name key name: the log's origin.
 * @throws {CodedError} `LOG_KEY_CURVE` for a key on another curve; `HSM_*`.
 */
export async function hsmLogSigner(hsm: Hsm, label: string, name: string): Promise<LogSigner> {
  const key = (await hsm.keys()).find((each) => each.label === label && each.kind === "signing");
  if (key !== undefined && key.curve !== "ed25519") {
    throw new CodedError("LOG_KEY_CURVE", `Cannot sign checkpoints with key ${label}: it is on ${key.curve}`);
  }
  const vkey = verifierKey(name, SIGNATURE_TYPE_ED25519, await hsm.publicKey(label));
  return {
    name,
    keyId: vkey.keyId,
    verifierKey: vkey,
    sign: (text) => hsm.sign(label, toUtf8(text)),
  };
}

/**
 * A log's key in memory, for a process without a token (gateway, station) and for tests. The key stays the caller's to wipe.
 * @param seed 32 bytes.
 */
export function seedLogSigner(seed: Secret, name: string): LogSigner {
  const vkey = verifierKey(name, SIGNATURE_TYPE_ED25519, ed25519PublicKeyOf(seed));
  return {
    name,
    keyId: vkey.keyId,
    verifierKey: vkey,
    sign: (text) => Promise.resolve(ed25519Sign(seed, toUtf8(text))),
  };
}

defineErrors({
  LOG_KEY_CURVE: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Checkpoints are signed with Ed25519: make the key with `rk hsm init` on a token that offers CKM_EDDSA.",
  },
});
