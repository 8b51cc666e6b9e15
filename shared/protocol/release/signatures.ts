/**
 * Signatures of metadata: which keys count, and how each kind is verified on this runtime.
 *
 * The library leaves the digest of ECDSA and RSA to OpenSSL's default, which this runtime does not have ("no default digest"),
 * and counts a key twice that is listed under two identifiers. Here the scheme names the digest, and a key counts once.
 */

import { Buffer } from "node:buffer";
import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import { canonicalize } from "@tufjs/canonical-json";
import type { Metadata, Root, Targets } from "@tufjs/models";
import { CodedError } from "../../base/errors.ts";
import type { SignedOf } from "./document.ts";
import "./errors.ts";

/** A key as the metadata has it. The Update Framework 1.0.31, section 4.2. */
export interface MetadataKey {
  readonly keyType: string;
  readonly scheme: string;
  readonly keyVal: { readonly [name: string]: string };
}

/** Keys and threshold of a role. */
export interface MetadataRole {
  readonly keyIDs: readonly string[];
  readonly threshold: number;
}

/** What a key can be asked. */
interface Verifier {
  readonly key: KeyObject;
  /** Names the key whatever it is called: its SubjectPublicKeyInfo. */
  readonly identity: string;
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** DER before an Ed25519 public key (32). RFC 8410, section 4. */
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
/** DER before an uncompressed P-256 point (65). RFC 5480, section 2. */
const P256_PREFIX = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");

interface Scheme {
  readonly keyTypes: readonly string[];
  /** DER before a key that is given as hex; absent: PEM only. */
  readonly prefix?: Buffer;
  /** `asymmetricKeyType` and curve that the key must have. */
  readonly keyKind: string;
  readonly curve?: string;
  readonly digest: string | undefined;
  readonly options?: { readonly padding: number; readonly saltLength?: number };
}

/** Schemes of section 4.2.1, and two that repositories in use have besides. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
  "ed25519": { keyTypes: ["ed25519"], prefix: ED25519_PREFIX, keyKind: "ed25519", digest: undefined },
  "ecdsa-sha2-nistp256": {
    keyTypes: ["ecdsa", "ecdsa-sha2-nistp256"],
    prefix: P256_PREFIX,
    keyKind: "ec",
    curve: "prime256v1",
    digest: "sha256",
  },
  "ecdsa-sha2-nistp384": {
    keyTypes: ["ecdsa", "ecdsa-sha2-nistp384"],
    keyKind: "ec",
    curve: "secp384r1",
    digest: "sha384",
  },
  "rsassa-pss-sha256": {
    keyTypes: ["rsa"],
    keyKind: "rsa",
    digest: "sha256",
    // Signers use the digest's length or the longest salt: the signature tells which.
    options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
  },
  "rsa-pkcs1v15-sha256": {
    keyTypes: ["rsa"],
    keyKind: "rsa",
    digest: "sha256",
    options: { padding: constants.RSA_PKCS1_PADDING },
  },
};

/** Fewest bits of an RSA modulus. */
const RSA_BITS_MIN = 2048;

/**
 * Passes a document that enough different keys of a role signed.
 * @param role name of the role, for words.
 * @throws {CodedError} `RELEASE_SIGNATURES` with how many signed.
 */
export function requireThreshold(
  role: string,
  { keyIDs, threshold }: MetadataRole,
  keys: Readonly<Record<string, MetadataKey>>,
  document: Metadata<SignedOf[keyof SignedOf]>,
): void {
  if (!Number.isSafeInteger(threshold) || threshold < 1) {
    throw refused(role, `its threshold is ${threshold}`, 0, threshold);
  }
  const message = Buffer.from(canonicalize(document.signed.toJSON()));
  const signers = new Set<string>();
  for (const id of keyIDs) {
    const signature = Object.hasOwn(document.signatures, id) ? document.signatures[id] : undefined;
    const key = Object.hasOwn(keys, id) ? keys[id] : undefined;
    const verifier = key === undefined || signature === undefined ? undefined : verifierOf(key);
    if (verifier?.verify(message, Buffer.from(signature!.sig, "hex"))) signers.add(verifier.identity);
  }
  if (signers.size < threshold) {
    throw refused(role, `${signers.size} of ${threshold} keys signed it`, signers.size, threshold);
  }
}

/** How the signatures of a key are verified; undefined for keys that are malformed or of another kind. */
function verifierOf({ keyType, scheme, keyVal }: MetadataKey): Verifier | undefined {
  const rules = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const text = keyVal.public;
  if (rules === undefined || text === undefined || !rules.keyTypes.includes(keyType)) return undefined;
  const key = publicKeyOf(text, rules.prefix);
  if (key === undefined || key.asymmetricKeyType !== rules.keyKind) return undefined;
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (rules.curve !== undefined && namedCurve !== rules.curve) return undefined;
  if (modulusLength !== undefined && modulusLength < RSA_BITS_MIN) return undefined;
  return {
    key,
    identity: key.export({ type: "spki", format: "der" }).toString("hex"),
    verify(message, signature) {
      try {
        return verify(rules.digest, message, { key, ...rules.options }, signature);
      } catch {
        return false;
      }
    },
  };
}

function publicKeyOf(text: string, prefix: Buffer | undefined): KeyObject | undefined {
  try {
    if (text.startsWith("-----BEGIN PUBLIC KEY-----")) return createPublicKey(text);
    if (prefix === undefined || !/^([0-9a-fA-F]{2})+$/.test(text)) return undefined;
    const der = Buffer.concat([prefix, Buffer.from(text, "hex")]);
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

/**
 * Keys and threshold that a document gives to a role: root to the four roles of the top, targets to those that it delegates to.
 * @throws {CodedError} `RELEASE_SIGNATURES` when it gives none.
 */
export function delegationOf(
  delegator: Metadata<Root | Targets>,
  name: string,
): { readonly role: MetadataRole; readonly keys: Readonly<Record<string, MetadataKey>> } {
  const { signed } = delegator;
  const holder = "roles" in signed ? signed : signed.delegations;
  const roles: Readonly<Record<string, MetadataRole>> = holder?.roles ?? {};
  const named = Object.hasOwn(roles, name) ? roles[name] : undefined;
  const bins = "delegations" in signed ? signed.delegations?.succinctRoles : undefined;
  const role = named ?? (bins?.isDelegatedRole(name) ? bins : undefined);
  if (role === undefined || holder === undefined) throw refused(name, "nobody delegates to it", 0, 0);
  return { role, keys: holder.keys };
}

function refused(role: string, state: string, signers: number, threshold: number): CodedError {
  return new CodedError("RELEASE_SIGNATURES", `Cannot use ${role} metadata: ${state}`, {
    role,
    signers,
    threshold,
  });
}
