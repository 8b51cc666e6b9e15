/** Keys on a token: templates of the ones made here, and the check of every key before it is used. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Handle, Template } from "pkcs11js";
import { CodedError } from "shared/base/errors.ts";
import { isEd25519PublicKey } from "shared/crypto/ed25519.ts";
import { isP256PublicKey } from "shared/crypto/p256.ts";
import { isPublicKey } from "shared/crypto/secp256k1.ts";
import type { Curve, HsmKey } from "../hsm.ts";
import {
  CKA,
  CKK,
  CKM,
  CKO,
  ED25519_NAMED_PARAMETERS,
  ED25519_PARAMETERS,
  P256_PARAMETERS,
  SECP256K1_PARAMETERS,
} from "./constants.ts";
import type { SessionContext } from "./token.ts";
import "../hsm.ts";
import "./failure.ts";
import "./pkcs11_hsm.ts";

/** Most objects that are looked at on one token. */
export const OBJECT_LIMIT = 4096;
/** Longest label in bytes. */
export const LABEL_LIMIT_BYTES = 64;
/** Length of a symmetric key in bytes. */
const SYMMETRIC_KEY_BYTES = 32;

/** A signing key on the token. */
export interface SigningKey {
  readonly privateHandle: Handle;
  /** 65 bytes, uncompressed; of Ed25519 32. */
  readonly publicKey: Uint8Array;
  readonly curve: Curve;
}

/** What a token needs for a curve. */
interface CurveFacts {
  readonly keyType: number;
  /** Names of the mechanisms that make a pair and sign with it. */
  readonly generate: keyof typeof CKM;
  readonly sign: keyof typeof CKM;
  /** CKA_EC_PARAMS of keys made here. */
  readonly parameters: Uint8Array;
  /** Another spelling of the curve that other tools use. */
  readonly otherParameters?: Uint8Array;
  readonly pointBytes: number;
  readonly isPoint: (point: Uint8Array) => boolean;
}

const WEIERSTRASS = {
  keyType: CKK.EC,
  generate: "EC_KEY_PAIR_GEN",
  sign: "ECDSA",
  pointBytes: 65,
} as const;

/** Key type, mechanisms, parameters and points of each curve. */
export const CURVE_FACTS: Readonly<Record<Curve, CurveFacts>> = {
  secp256k1: { ...WEIERSTRASS, parameters: SECP256K1_PARAMETERS, isPoint: isPublicKey },
  p256: { ...WEIERSTRASS, parameters: P256_PARAMETERS, isPoint: isP256PublicKey },
  ed25519: {
    keyType: CKK.EC_EDWARDS,
    generate: "EC_EDWARDS_KEY_PAIR_GEN",
    sign: "EDDSA",
    parameters: ED25519_PARAMETERS,
    otherParameters: ED25519_NAMED_PARAMETERS,
    pointBytes: 32,
    isPoint: isEd25519PublicKey,
  },
};

/** Key types of pairs, as {@link signingKey} and {@link listKeys} look for them. */
const PAIR_TYPES = [CKK.EC, CKK.EC_EDWARDS] as const;

/** CKA_ID of a key: both halves of a pair share it, and other tools can name the key by it. */
export function keyId(label: string): Buffer {
  return createHash("sha256").update(label).digest().subarray(0, 16);
}

/** Templates of a pair: made on the token, of no use but to sign, never to leave. */
export function signingKeyTemplates(
  label: string,
  curve: Curve,
): { publicKey: Template; privateKey: Template } {
  const common = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.LABEL, value: label },
    { type: CKA.ID, value: keyId(label) },
    { type: CKA.DERIVE, value: false },
  ];
  return {
    publicKey: [
      ...common,
      { type: CKA.PRIVATE, value: false },
      { type: CKA.VERIFY, value: true },
      { type: CKA.ENCRYPT, value: false },
      { type: CKA.WRAP, value: false },
      { type: CKA.EC_PARAMS, value: Buffer.from(CURVE_FACTS[curve].parameters) },
    ],
    privateKey: [
      ...common,
      { type: CKA.PRIVATE, value: true },
      { type: CKA.SENSITIVE, value: true },
      { type: CKA.EXTRACTABLE, value: false },
      { type: CKA.SIGN, value: true },
      { type: CKA.DECRYPT, value: false },
      { type: CKA.UNWRAP, value: false },
    ],
  };
}

/** Kinds of symmetric keys, all of 32 bytes: their type, and the use that they are made for. */
const SYMMETRIC = {
  master: { type: CKK.AES, signs: true },
  storage: { type: CKK.AES, signs: false },
  mac: { type: CKK.GENERIC_SECRET, signs: true },
} as const;
/** One of them. */
export type SymmetricKind = keyof typeof SYMMETRIC;

/** Template of a symmetric key: made on the token, of use for CKA_SIGN or for CKA_ENCRYPT, not both, never to leave. */
export function symmetricKeyTemplate(label: string, kind: SymmetricKind): Template {
  const { type, signs } = SYMMETRIC[kind];
  return [
    { type: CKA.TOKEN, value: true },
    { type: CKA.KEY_TYPE, value: type },
    { type: CKA.LABEL, value: label },
    { type: CKA.ID, value: keyId(label) },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.VALUE_LEN, value: SYMMETRIC_KEY_BYTES },
    { type: CKA.SIGN, value: signs },
    { type: CKA.VERIFY, value: signs },
    { type: CKA.ENCRYPT, value: !signs },
    { type: CKA.DECRYPT, value: !signs },
    { type: CKA.WRAP, value: false },
    { type: CKA.UNWRAP, value: false },
    { type: CKA.DERIVE, value: false },
  ];
}

/** Refuses labels that a token or a listing could show as another one. @throws {CodedError} `HSM_LABEL`. */
export function checkLabel(label: string): void {
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(label) || label.length > LABEL_LIMIT_BYTES) {
    throw new CodedError(
      "HSM_LABEL",
      `Cannot use key label: it is not 1 to ${LABEL_LIMIT_BYTES} printable ASCII characters`,
    );
  }
}

/** Refuses a mechanism that the token lacks, before anything is sent. @throws {CodedError} `HSM_MECHANISM`. */
export function requireMechanism(context: SessionContext, name: keyof typeof CKM): void {
  if (!context.facts.mechanisms.has(CKM[name])) {
    throw new CodedError("HSM_MECHANISM", `Cannot use token: it does not offer CKM_${name}`, {
      mechanism: `CKM_${name}`,
      model: context.facts.model,
    });
  }
}

/** Objects that match a template. @throws {CodedError} `HSM_TOKEN` when there are more than {@link OBJECT_LIMIT}. */
export function findObjects({ binding, session }: SessionContext, template: Template): Handle[] {
  binding.C_FindObjectsInit(session, template);
  const found: Handle[] = [];
  try {
    for (;;) {
      const some = binding.C_FindObjects(session, 64);
      if (some.length === 0) return found;
      found.push(...some);
      if (found.length > OBJECT_LIMIT) {
        throw new CodedError("HSM_TOKEN", `Cannot list token: it holds more than ${OBJECT_LIMIT} objects`);
      }
    }
  } finally {
    binding.C_FindObjectsFinal(session);
  }
}

/** Whether the token holds a key of this label, of any class. */
export function hasKey(context: SessionContext, label: string): boolean {
  return [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.SECRET_KEY].some((keyClass) =>
    findObjects(context, [{ type: CKA.CLASS, value: keyClass }, { type: CKA.LABEL, value: label }]).length > 0
  );
}

/**
 * A signing key, checked once for each opening of the token.
 * @throws {CodedError} `HSM_KEY_MISSING`, `HSM_KEY_AMBIGUOUS`, `HSM_KEY_EXTRACTABLE`.
 */
export function signingKey(context: SessionContext, label: string): SigningKey {
  return cached(context, `signing:${label}`, () => {
    const privateHandle = oneKey(context, label, CKO.PRIVATE_KEY, PAIR_TYPES);
    requireUnreadable(context, privateHandle, label);
    const publicHandle = oneKey(context, label, CKO.PUBLIC_KEY, PAIR_TYPES);
    return { privateHandle, ...publicPoint(context, publicHandle, label) };
  });
}

/** A symmetric key, checked once for each opening of the token. Throws as {@link signingKey}. */
export function symmetricKey(context: SessionContext, label: string, kind: SymmetricKind): Handle {
  return cached(context, `${kind}:${label}`, () => {
    const { type, signs } = SYMMETRIC[kind];
    const handle = oneKey(context, label, CKO.SECRET_KEY, [type]);
    requireUnreadable(context, handle, label);
    if (attribute(context, handle, CKA.VALUE_LEN).readUInt32LE() !== SYMMETRIC_KEY_BYTES) {
      throw new CodedError("HSM_KEY_MISSING", `Cannot use ${kind} key ${label}: it has not 256 bits`);
    }
    // A key that also computes MACs is no storage key: what it signs could be chosen to look like what it seals.
    if (isSet(context, handle, CKA.SIGN) !== signs) {
      throw new CodedError("HSM_KEY_MISSING", `Cannot use key ${label}: it is not a ${kind} key`, { label });
    }
    return handle;
  });
}

function isSet(context: SessionContext, handle: Handle, type: number): boolean {
  return attribute(context, handle, type)[0] === 1;
}

/** Labels of the keys that this adapter can use. */
export function listKeys(context: SessionContext): HsmKey[] {
  const listed: HsmKey[] = [];
  for (
    const [kind, keyClass, keyType] of [
      ["signing", CKO.PRIVATE_KEY, CKK.EC],
      ["signing", CKO.PRIVATE_KEY, CKK.EC_EDWARDS],
      ["master", CKO.SECRET_KEY, CKK.AES],
      ["mac", CKO.SECRET_KEY, CKK.GENERIC_SECRET],
    ] as const
  ) {
    const template = [{ type: CKA.CLASS, value: keyClass }, { type: CKA.KEY_TYPE, value: keyType }];
    for (const handle of findObjects(context, template)) {
      const label = attribute(context, handle, CKA.LABEL).toString("utf8");
      if (kind !== "signing") {
        const storage = kind === "master" && !isSet(context, handle, CKA.SIGN);
        listed.push({ label, kind: storage ? "storage" : kind });
        continue;
      }
      const curve = curveOf(context, handle);
      if (curve !== undefined) listed.push({ label, kind, curve });
    }
  }
  return listed.sort((a, b) => a.label < b.label ? -1 : a.label > b.label ? 1 : 0);
}

function cached<T>(context: SessionContext, key: string, find: () => T): T {
  if (!context.cache.has(key)) context.cache.set(key, find());
  return context.cache.get(key) as T; // the key's prefix tells the type, and only this file writes
}

function oneKey(
  context: SessionContext,
  label: string,
  keyClass: number,
  keyTypes: readonly number[],
): Handle {
  const found = keyTypes.flatMap((keyType) =>
    findObjects(context, [
      { type: CKA.CLASS, value: keyClass },
      { type: CKA.KEY_TYPE, value: keyType },
      { type: CKA.LABEL, value: label },
    ])
  );
  if (found.length > 1) {
    throw new CodedError(
      "HSM_KEY_AMBIGUOUS",
      `Cannot use key ${label}: the token holds ${found.length} of it`,
      {
        label,
      },
    );
  }
  const [handle] = found;
  if (!handle) {
    // A token that vanished shows no objects (SoftHSM): it is asked first, and its error means that it is gone.
    context.binding.C_GetTokenInfo(context.facts.slot);
    throw new CodedError("HSM_KEY_MISSING", `Cannot find key ${label}: the token does not hold it`, {
      label,
    });
  }
  return handle;
}

function requireUnreadable(context: SessionContext, handle: Handle, label: string): void {
  const sensitive = attribute(context, handle, CKA.SENSITIVE)[0] === 1;
  const extractable = attribute(context, handle, CKA.EXTRACTABLE)[0] !== 0;
  if (!sensitive || extractable) {
    throw new CodedError("HSM_KEY_EXTRACTABLE", `Cannot use key ${label}: it can be read out of the token`, {
      label,
      sensitive,
      extractable,
    });
  }
}

function attribute({ binding, session }: SessionContext, handle: Handle, type: number): Buffer {
  const [read] = binding.C_GetAttributeValue(session, handle, [{ type }]);
  const value = read?.value;
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0);
}

/** The curve of a key; undefined for one that is not ours. */
function curveOf(context: SessionContext, handle: Handle): Curve | undefined {
  const parameters = attribute(context, handle, CKA.EC_PARAMS);
  return (Object.keys(CURVE_FACTS) as Curve[]).find((curve) => {
    const { parameters: own, otherParameters } = CURVE_FACTS[curve];
    return parameters.equals(own) || otherParameters !== undefined && parameters.equals(otherParameters);
  });
}

/** CKA_EC_POINT is a DER octet string around the point; some tokens give the bare point. */
function publicPoint(
  context: SessionContext,
  handle: Handle,
  label: string,
): { publicKey: Uint8Array; curve: Curve } {
  const value = attribute(context, handle, CKA.EC_POINT);
  const curve = curveOf(context, handle);
  const length = curve === undefined ? 0 : CURVE_FACTS[curve].pointBytes;
  const wrapped = value.length === length + 2 && value[0] === 0x04 && value[1] === length;
  const point = new Uint8Array(wrapped ? value.subarray(2) : value);
  if (curve === undefined || !CURVE_FACTS[curve].isPoint(point)) {
    throw new CodedError(
      "HSM_KEY_MISSING",
      `Cannot use signing key ${label}: it is not on secp256k1, P-256 or Ed25519`,
      { label },
    );
  }
  return { publicKey: point, curve };
}
