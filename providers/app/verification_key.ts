/** The vault's P-256 key for results of identity verification: at rest it is sealed under the storage key in the HSM. */

import { exportJWK, generateKeyPair, type JWK } from "jose";
import { z } from "zod";
import { fromHex, fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { hexRange } from "shared/protocol/wire/attestation.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { readText } from "shared/base/text_file.ts";
import "./config_file.ts";

const KeyFile = z.strictObject({ label: z.string(), sealed: hexRange(28, 1024) });
const BOUND = toUtf8("verification key");

/** Makes the key unless it is there. Returns its public half. */
export async function ensureVerificationKey(path: string, hsm: Hsm, label: string): Promise<JWK> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const pair = await generateKeyPair("ECDH-ES+A256KW", { extractable: true, crv: "P-256" });
    const plain = toUtf8(JSON.stringify(await exportJWK(pair.privateKey)));
    const sealed = toHex(await hsm.seal(label, plain, BOUND));
    plain.fill(0);
    await Deno.writeTextFile(path, JSON.stringify({ label, sealed }) + "\n", {
      createNew: true,
      mode: 0o600,
    });
  }
  const { d: _private, ...publicKey } = await openVerificationKey(path, hsm);
  return publicKey;
}

/** The private key. @throws {CodedError} `SERVICE_FILE`, `PROVIDER_FILE`. */
export async function openVerificationKey(path: string, hsm: Hsm): Promise<JWK> {
  const text = await readText(path);
  let plain: Uint8Array | undefined;
  try {
    const { label, sealed } = KeyFile.parse(JSON.parse(text));
    plain = await hsm.open(label, fromHex(sealed), BOUND);
    return JSON.parse(fromUtf8(plain)) as JWK;
  } catch {
    throw new CodedError("PROVIDER_FILE", `Cannot use ${path}: it is not what this vault sealed`);
  } finally {
    plain?.fill(0);
  }
}
