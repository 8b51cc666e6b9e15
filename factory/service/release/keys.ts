/** Keys of release documents in tokens: Ed25519 where the token has it, ECDSA P-256 otherwise. */

import { Buffer } from "node:buffer";
import { canonicalize } from "@tufjs/canonical-json";
import { CodedError } from "shared/base/errors.ts";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { keyIdOf, type KeyJson } from "../../domain/release/documents.ts";
import type { Envelope } from "./repository.ts";
import "../../domain/release/errors.ts";

/** DER before an uncompressed P-256 point (65). RFC 5480, section 2. */
const P256_PREFIX = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");

/** The public half of a key, as metadata has it. @throws {CodedError} `HSM_KEY_MISSING`, `RELEASE_HOLDER` for other curves. */
export async function keyJsonOf(hsm: Hsm, label: string): Promise<KeyJson> {
  const publicKey = await hsm.publicKey(label);
  const { curve } = (await hsm.keys()).find((key) => key.label === label) ?? {};
  if (curve === "ed25519") {
    return { keytype: "ed25519", scheme: "ed25519", keyval: { public: toHex(publicKey).toLowerCase() } };
  }
  if (curve !== "p256") {
    throw new CodedError("RELEASE_HOLDER", `Cannot sign releases with key ${label}: it is on ${curve}`);
  }
  const der = Buffer.concat([P256_PREFIX, publicKey]).toString("base64").replace(/(.{64})/g, "$1\n");
  const pem = `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`;
  return { keytype: "ecdsa", scheme: "ecdsa-sha2-nistp256", keyval: { public: pem } };
}

/** A document with one more signature; one by the same key is replaced. */
export async function withSignature(hsm: Hsm, label: string, envelope: Envelope): Promise<Envelope> {
  const keyid = keyIdOf(await keyJsonOf(hsm, label));
  const sig = toHex(await hsm.sign(label, toUtf8(canonicalize(envelope.signed)))).toLowerCase();
  const others = envelope.signatures.filter((signature) => signature.keyid !== keyid);
  return { signatures: [...others, { keyid, sig }], signed: envelope.signed };
}
