/** The card's static certificate. Spec/card.md, section 5.1. */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { ecdsaVerify, isPublicKey, PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { encodeSimple, parseSimple, type SimpleTlv } from "../tlv/simple.ts";
import {
  CARD_CERTIFICATE_MAX,
  CARD_SERIAL_LENGTH,
  CERTIFICATE_TAG as TAG,
  CURVE_SECP256K1,
} from "./constants.ts";
import { requireLength, SIGNATURE_FIELD } from "./length_prefixed.ts";
import "./errors.ts";

/** What any certificate that the card accepts has. */
export interface LooseCardCertificate {
  /** The whole certificate as it was read. */
  readonly bytes: Uint8Array;
  /** Every byte before tag 15: what the issuer signed. */
  readonly signedBytes: Uint8Array;
  /** Trusted name: the card's serial. Exactly 4 bytes when parsed strictly. */
  readonly serial: Uint8Array;
  /** DER. */
  readonly signature: Uint8Array;
  /** 65 bytes, on the curve when parsed strictly. */
  readonly publicKey?: Uint8Array;
  readonly targetDevice?: number;
}

/** A certificate that a wallet accepts: every tag there, once, in order, with its value. */
export interface CardCertificate extends LooseCardCertificate {
  readonly publicKey: Uint8Array;
  readonly targetDevice: number;
}

const STRUCTURE_TYPE_CERTIFICATE = 0x01;
const CERTIFICATE_VERSION = 0x02;
const ALGORITHM_ECDSA_SHA256 = 0x01;
const USAGE_GENUINE_CHECK = 0x01;

/** The tags in their order, with the one value that is allowed where there is one. */
const PROFILE: readonly { readonly tag: number; readonly value?: number; readonly length: number }[] = [
  { tag: TAG.STRUCTURE_TYPE, length: 1, value: STRUCTURE_TYPE_CERTIFICATE },
  { tag: TAG.VERSION, length: 1, value: CERTIFICATE_VERSION },
  { tag: TAG.SIGNATURE_ALGORITHM, length: 1, value: ALGORITHM_ECDSA_SHA256 },
  { tag: TAG.TRUSTED_NAME, length: CARD_SERIAL_LENGTH },
  { tag: TAG.PUBLIC_KEY_USAGE, length: 1, value: USAGE_GENUINE_CHECK },
  { tag: TAG.CURVE, length: 1, value: CURVE_SECP256K1 },
  { tag: TAG.PUBLIC_KEY, length: PUBLIC_KEY_LENGTH },
  { tag: TAG.TARGET_DEVICE, length: 1 },
];

/**
 * Every byte of a certificate before tag 15: exactly what the issuer signs.
 * @param fields serial 4 bytes, public key 65 bytes on the curve, target device one byte from the profile.
 * @throws {CodedError} `RK_FIELD`.
 */
export function buildCardCertificateBody(
  fields: { serial: Uint8Array; publicKey: Uint8Array; targetDevice: number },
): Uint8Array {
  const { serial, publicKey, targetDevice } = fields;
  if (!isPublicKey(publicKey)) {
    throw new CodedError(
      "RK_FIELD",
      "Cannot certify public key: it is not an uncompressed point on secp256k1",
    );
  }
  if (!Number.isInteger(targetDevice) || targetDevice < 0 || targetDevice > 0xff) {
    throw new CodedError("RK_FIELD", "Cannot certify card: the target device is not one byte");
  }
  const values: Readonly<Record<number, Uint8Array>> = {
    [TAG.TRUSTED_NAME]: requireLength("card serial", serial, CARD_SERIAL_LENGTH),
    [TAG.PUBLIC_KEY]: publicKey,
    [TAG.TARGET_DEVICE]: Uint8Array.of(targetDevice),
  };
  return concat(...PROFILE.map(({ tag, value }) => encodeSimple(tag, values[tag] ?? Uint8Array.of(value!))));
}

/**
 * Appends the signature.
 * @param signature DER, 8 to 72 bytes, over `body`.
 * @throws {CodedError} `RK_FIELD`, `CERTIFICATE_TOO_LONG` over 239 bytes.
 */
export function finishCardCertificate(body: Uint8Array, signature: Uint8Array): Uint8Array {
  if (signature.length < SIGNATURE_FIELD.min || signature.length > SIGNATURE_FIELD.max) {
    throw new CodedError("RK_FIELD", `Cannot finish certificate: signature of ${signature.length} bytes`);
  }
  const bytes = concat(body, encodeSimple(TAG.SIGNATURE, signature));
  if (bytes.length > CARD_CERTIFICATE_MAX) {
    throw new CodedError(
      "CERTIFICATE_TOO_LONG",
      `Cannot finish certificate: ${bytes.length} bytes, over 239`,
    );
  }
  return bytes;
}

function readTlvs(bytes: Uint8Array): SimpleTlv[] {
  try {
    return parseSimple(bytes);
  } catch {
    throw new CodedError(
      "CERTIFICATE_MALFORMED",
      `Cannot read certificate: ${bytes.length} bytes are no TLVs`,
    );
  }
}

function tagHex(tag: number): string {
  return tag.toString(16).toUpperCase().padStart(2, "0");
}

function checkProfile(elements: readonly SimpleTlv[]): void {
  const seen = new Set<number>();
  const known = new Set([...PROFILE.map(({ tag }) => tag), TAG.SIGNATURE]);
  for (const { tag } of elements) {
    if (!known.has(tag)) {
      throw new CodedError(
        "CERTIFICATE_TAG_UNKNOWN",
        `Cannot accept certificate: unknown tag ${tagHex(tag)}`,
      );
    }
    if (seen.has(tag)) {
      throw new CodedError(
        "CERTIFICATE_TAG_DUPLICATE",
        `Cannot accept certificate: tag ${tagHex(tag)} twice`,
      );
    }
    seen.add(tag);
  }
  for (const tag of known) {
    if (!seen.has(tag)) {
      throw new CodedError("CERTIFICATE_TAG_MISSING", `Cannot accept certificate: no tag ${tagHex(tag)}`);
    }
  }
  // All tags are there once and no other is, so that position decides the order.
  PROFILE.forEach(({ tag, length, value }, i) => {
    const element = elements[i]!;
    if (element.tag !== tag) {
      throw new CodedError(
        "CERTIFICATE_ORDER",
        `Cannot accept certificate: tag ${tagHex(tag)} is out of order`,
      );
    }
    if (element.value.length !== length || (value !== undefined && element.value[0] !== value)) {
      throw new CodedError(
        "CERTIFICATE_VALUE",
        `Cannot accept certificate: tag ${tagHex(tag)} is not as it must be`,
      );
    }
  });
}

/** As a wallet reads it. @throws {CodedError} a `CERTIFICATE_` code. */
export function parseCardCertificate(bytes: Uint8Array, options: { strict: true }): CardCertificate;
/** As the card reads it. @throws {CodedError} `CERTIFICATE_MALFORMED`, `CERTIFICATE_TAG_MISSING`, `CERTIFICATE_ORDER`. */
export function parseCardCertificate(bytes: Uint8Array, options: { strict: boolean }): LooseCardCertificate;
/**
 * Reads a certificate; the signature is checked by `verifyCardCertificate`.
 * @param options `strict`: the wallet's rules, every tag of section 5.1 once, in order, with its length and value,
 * the key on the curve, nothing after 15. Not strict: the card's rules, tags 20 and 15 with 15 last; the recorded
 * certificate has no 01, 02, 14, 31 and 35.
 */
export function parseCardCertificate(
  bytes: Uint8Array,
  options: { strict: boolean },
): LooseCardCertificate {
  if (bytes.length > CARD_CERTIFICATE_MAX) {
    throw new CodedError("CERTIFICATE_MALFORMED", `Cannot read certificate: ${bytes.length} bytes, over 239`);
  }
  const elements = readTlvs(bytes);
  if (options.strict) checkProfile(elements);
  const valueOf = (tag: number) => elements.find((element) => element.tag === tag)?.value;
  const serial = valueOf(TAG.TRUSTED_NAME);
  const signature = valueOf(TAG.SIGNATURE);
  if (serial === undefined || signature === undefined) {
    throw new CodedError("CERTIFICATE_TAG_MISSING", "Cannot accept certificate: no serial or no signature");
  }
  const last = elements.at(-1)!;
  if (last.tag !== TAG.SIGNATURE || elements.filter(({ tag }) => tag === TAG.SIGNATURE).length !== 1) {
    throw new CodedError("CERTIFICATE_ORDER", "Cannot accept certificate: the signature is not its end");
  }
  const publicKey = valueOf(TAG.PUBLIC_KEY);
  const targetDevice = valueOf(TAG.TARGET_DEVICE)?.[0];
  if (options.strict && !isPublicKey(publicKey!)) {
    throw new CodedError("CERTIFICATE_VALUE", "Cannot accept certificate: its key is not on the curve");
  }
  return {
    bytes: bytes.slice(),
    signedBytes: bytes.slice(0, bytes.length - 2 - last.value.length),
    serial,
    signature,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(targetDevice === undefined ? {} : { targetDevice }),
  };
}

/**
 * Whether the issuer signed the certificate.
 * @param issuerPublicKey 65 bytes.
 */
export function verifyCardCertificate(
  certificate: Pick<LooseCardCertificate, "signedBytes" | "signature">,
  issuerPublicKey: Uint8Array,
): boolean {
  return ecdsaVerify(issuerPublicKey, certificate.signedBytes, certificate.signature);
}
