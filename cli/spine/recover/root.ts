/**
 * Who vouches in a local spine: the maker of the virtual devices, whose key certifies devices, providers and orchestrators. In
 * production that key is the issuer's and signs what `init` printed, elsewhere.
 */

import type { Secret } from "shared/base/secret.ts";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { ecdsaSign, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { joinPrefixed } from "shared/protocol/recovery_key/length_prefixed.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import { readMaker } from "device/recover/device_state.ts";
import { STATUS_TYPE } from "providers/vault/status_document.ts";
import { exists, writePrivate } from "../../paths.ts";
import { MAKER_FILE } from "./layout.ts";

/** The root of a local spine. */
export interface LocalRoot {
  /** 65 bytes, hex. */
  readonly publicKey: string;
  /** DER, hex. @param toSign what `init` printed, hex. */
  sign(toSign: string): string;
  /** What `init` printed, with its signature: a provider's static certificate (hex). */
  certify(toSign: string): string;
  close(): void;
}

/** Opens the maker's file, or makes it. @param folder the spine's. */
export function openRoot(folder: string): LocalRoot {
  const issuer: Secret = readMaker(`${folder}/${MAKER_FILE}`, SYSTEM_RANDOM).issuer;
  const signature = (toSign: string) => ecdsaSign(issuer, fromHex(toSign));
  return {
    publicKey: toHex(publicKeyOf(issuer)),
    sign: (toSign) => toHex(signature(toSign)),
    certify: (toSign) => toHex(concat(fromHex(toSign), joinPrefixed(signature(toSign)))),
    close: () => issuer.wipe(),
  };
}

const STATUS_DAYS = 30;
const DAY_SECONDS = 86_400;

/**
 * Makes or keeps the key of who may lock a provider's service, and writes a status document that says that it is open.
 * @param folder the provider's. @returns the public half.
 */
export async function openService(folder: string): Promise<JWK> {
  const file = `${folder}/lock-authority.jwk`;
  if (!await exists(file)) {
    const { privateKey } = await generateKeyPair("ES256", { extractable: true });
    await writePrivate(file, JSON.stringify(await exportJWK(privateKey)));
  }
  const key = JSON.parse(await Deno.readTextFile(file)) as JWK;
  const now = Math.floor(Date.now() / 1000);
  const document = { state: "open", sequence: now, notAfter: now + STATUS_DAYS * DAY_SECONDS };
  const status = await new CompactSign(toUtf8(JSON.stringify(document)))
    .setProtectedHeader({ alg: "ES256", typ: STATUS_TYPE })
    .sign(await importJWK(key, "ES256"));
  await writePrivate(`${folder}/status.jwt`, status);
  const { kty, crv, x, y } = key;
  return { kty: kty!, crv: crv!, x: x!, y: y! } as JWK;
}
