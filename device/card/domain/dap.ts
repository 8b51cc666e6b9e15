/**
 * DAP verification: load files that carry the signature of a domain's owner. GPC 2.3.1, 9.2.1, 11.6.2.3, C.2, C.3.
 * The signature is over the load file data block hash (SHA-256, 32 bytes) that INSTALL [for load] announced, which is
 * the message: the signature scheme hashes it again.
 */

import { Buffer } from "node:buffer";
import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { PRIVILEGE } from "shared/protocol/gp/constants.ts";
import { dapFor, type LoadFile } from "shared/protocol/gp/load_parser.ts";
import { type PublicKey, publicKeyOfComponents } from "shared/protocol/gp/public_key.ts";
import { equal } from "shared/base/bytes.ts";
import { findDomain, isPrivileged } from "../registry.ts";
import type { CardState, DomainState } from "../state.ts";
import { isLockedDomain } from "./management.ts";

const SHA256_LENGTH = 32;
/** r and s of P-256, without DER. GPC 2.3.1, B.4.3. */
const PLAIN_ECDSA_LENGTH = 64;

/** Domains without whose signature a load file for `target` is refused. */
export function checkingDomains(state: CardState, target: Uint8Array): DomainState[] {
  return state.domains.filter((domain) =>
    isPrivileged(domain, PRIVILEGE.MANDATED_DAP_VERIFICATION) ||
    (isPrivileged(domain, PRIVILEGE.DAP_VERIFICATION) && equal(domain.aid, target))
  );
}

/**
 * Checks the DAP blocks of a load file whose hash is right.
 * @returns the status word to refuse with: `6985` a signature that must be there is not, or its domain has no key or is
 * locked; `6A88` a block names a domain that is not there; `6982` a signature is wrong.
 */
export function dapRefusal(
  state: CardState,
  target: Uint8Array,
  file: LoadFile,
  hash: Uint8Array,
): number | undefined {
  const checking = checkingDomains(state, target);
  if (checking.some((domain) => dapFor(file, domain.aid) === undefined)) return SW.CONDITIONS_NOT_SATISFIED;
  for (const { securityDomainAid, signature } of file.dapBlocks) {
    const domain = findDomain(state, securityDomainAid);
    if (domain === undefined) return SW.REFERENCED_DATA_NOT_FOUND;
    // A domain without the privilege is not asked; whoever must sign was looked for above.
    if (!isPrivileged(domain, PRIVILEGE.DAP_VERIFICATION)) continue;
    const keys = dapKeys(domain);
    const able = keys.length > 0 && hash.length === SHA256_LENGTH && !isLockedDomain(state, domain);
    if (!able) return SW.CONDITIONS_NOT_SATISFIED;
    if (!keys.some((key) => verifyDap(key, hash, signature))) return SW.SECURITY_STATUS_NOT_SATISFIED;
  }
  return undefined;
}

function dapKeys(domain: DomainState): PublicKey[] {
  return domain.otherKeys.map((key) => publicKeyOfComponents(key.components)).filter((key) =>
    key !== undefined
  );
}

/**
 * Checks one signature: ECDSA over P-256 (plain r || s, or DER as Java Card's API has it), RSA with PKCS #1 v1.5 or
 * PSS (salt 32), all with SHA-256. GPC 2.3.1, B.3 and B.4.3.
 */
export function verifyDap(key: PublicKey, hash: Uint8Array, signature: Uint8Array): boolean {
  try {
    const publicKey = keyObject(key);
    if (key.kind === "ec-p256") {
      const dsaEncoding = signature.length === PLAIN_ECDSA_LENGTH ? "ieee-p1363" : "der";
      return verify("sha256", hash, { key: publicKey, dsaEncoding }, signature);
    }
    const pss = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: SHA256_LENGTH };
    return verify("sha256", hash, publicKey, signature) || verify("sha256", hash, pss, signature);
  } catch {
    // A point off the curve, a modulus that is none: nothing verifies under such a key.
    return false;
  }
}

function keyObject(key: PublicKey): KeyObject {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const jwk = key.kind === "rsa"
    ? { kty: "RSA", n: text(key.modulus), e: text(key.exponent) }
    : { kty: "EC", crv: "P-256", x: text(key.point.subarray(1, 33)), y: text(key.point.subarray(33)) };
  return createPublicKey({ key: jwk, format: "jwk" });
}
