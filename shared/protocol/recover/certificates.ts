/** Certificates of the Recover channels (spec/recover.md, section 2): what each signature covers, and how each travels. */

import { concat, fromUtf8, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { ecdsaVerify, PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import {
  joinPrefixed,
  requireLength,
  SIGNATURE_FIELD,
  splitPrefixed,
} from "../recovery_key/length_prefixed.ts";
import { LENGTH, PROVIDER_CERTIFICATE_VERSION, ROLE } from "./constants.ts";
import "./errors.ts";

/** A public key (65) and a signature (DER) over it. */
export interface SignedKey {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** The device's static certificate. */
export interface DeviceCertificate extends SignedKey {
  /** Up to 255 bytes that the issuer chose. */
  readonly header: Uint8Array;
}

/** A provider's certificate, static or ephemeral. */
export interface ProviderCertificate extends SignedKey {
  readonly role: typeof ROLE.PROVIDER_STATIC | typeof ROLE.PROVIDER_EPHEMERAL;
  readonly name: string;
}

const HEADER_FIELD = { min: 0, max: 255 } as const;

function nonce(bytes: Uint8Array, what: string): Uint8Array {
  return requireLength(what, bytes, LENGTH.NONCE);
}

function key(bytes: Uint8Array): Uint8Array {
  return requireLength("public key", bytes, PUBLIC_KEY_LENGTH);
}

/** Bytes under a host's static certificate: role `05` (orchestrator), or `01` when a root is enrolled. */
export function hostStaticBytes(
  role: typeof ROLE.ORCHESTRATOR_STATIC | typeof ROLE.ROOT,
  publicKey: Uint8Array,
): Uint8Array {
  return concat(Uint8Array.of(role), key(publicKey));
}

/** Bytes under a host's ephemeral certificate: role `15`, or `11` when a root is enrolled. */
export function hostEphemeralBytes(
  role: typeof ROLE.ORCHESTRATOR_EPHEMERAL | typeof ROLE.ROOT_EPHEMERAL,
  hostNonce: Uint8Array,
  deviceNonce: Uint8Array,
  ephemeral: Uint8Array,
): Uint8Array {
  return concat(
    Uint8Array.of(role),
    nonce(hostNonce, "host nonce"),
    nonce(deviceNonce, "device nonce"),
    key(ephemeral),
  );
}

/** Bytes under the device's static certificate, signed by the issuer. */
export function deviceStaticBytes(header: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(ROLE.DEVICE_STATIC), header, key(publicKey));
}

/** Bytes under the device's ephemeral certificate, signed by its static key. */
export function deviceEphemeralBytes(
  deviceNonce: Uint8Array,
  hostNonce: Uint8Array,
  ephemeral: Uint8Array,
): Uint8Array {
  return concat(
    Uint8Array.of(ROLE.DEVICE_EPHEMERAL),
    nonce(deviceNonce, "device nonce"),
    nonce(hostNonce, "host nonce"),
    key(ephemeral),
  );
}

/** Bytes under a provider's certificate: static signed by the root, ephemeral by the provider's static key. */
export function providerBytes(
  role: ProviderCertificate["role"],
  name: string,
  publicKey: Uint8Array,
): Uint8Array {
  return concat(
    Uint8Array.of(PROVIDER_CERTIFICATE_VERSION, role),
    joinPrefixed(providerName(name), key(publicKey)),
  );
}

function providerName(name: string): Uint8Array {
  const bytes = toUtf8(name);
  if (bytes.length === 0 || bytes.length > LENGTH.PROVIDER_NAME_MAX) {
    throw new CodedError("RECOVER_FIELD", `Cannot use provider name: ${bytes.length} bytes`);
  }
  return bytes;
}

/** Data of a host certificate command: len || key || len || signature. */
export function encodeSignedKey({ publicKey, signature }: SignedKey): Uint8Array {
  return joinPrefixed(key(publicKey), signature);
}

/** Reads a host certificate. @throws {CodedError} `RECOVER_MALFORMED`. */
export function decodeSignedKey(bytes: Uint8Array): SignedKey {
  const [publicKey, signature] = split(bytes, [PUBLIC_KEY_LENGTH, SIGNATURE_FIELD], "certificate");
  return { publicKey, signature };
}

/** The device's static certificate in the clear: len || header || len || key || len || signature. */
export function encodeDeviceCertificate({ header, publicKey, signature }: DeviceCertificate): Uint8Array {
  return joinPrefixed(header, key(publicKey), signature);
}

/** Reads a device's static certificate. @throws {CodedError} `RECOVER_MALFORMED`. */
export function decodeDeviceCertificate(bytes: Uint8Array): DeviceCertificate {
  const [header, publicKey, signature] = split(
    bytes,
    [HEADER_FIELD, PUBLIC_KEY_LENGTH, SIGNATURE_FIELD],
    "device certificate",
  );
  return { header, publicKey, signature };
}

/** Answer of the ephemeral device certificate: len `00` || len || key || len || sealed signature. */
export function encodeDeviceEphemeral(ephemeral: Uint8Array, sealedSignature: Uint8Array): Uint8Array {
  return joinPrefixed(new Uint8Array(0), key(ephemeral), sealedSignature);
}

/** Reads the answer of the ephemeral device certificate. @throws {CodedError} `RECOVER_MALFORMED`. */
export function decodeDeviceEphemeral(
  bytes: Uint8Array,
): { ephemeral: Uint8Array; sealedSignature: Uint8Array } {
  const sealed = { min: SIGNATURE_FIELD.min + LENGTH.SIV_TAG, max: SIGNATURE_FIELD.max + LENGTH.SIV_TAG };
  const [, ephemeral, sealedSignature] = split(
    bytes,
    [0, PUBLIC_KEY_LENGTH, sealed],
    "device ephemeral certificate",
  );
  return { ephemeral, sealedSignature };
}

/** A provider's certificate: version || role || len || name || len || key || len || signature. */
export function encodeProviderCertificate(
  { role, name, publicKey, signature }: ProviderCertificate,
): Uint8Array {
  return concat(providerBytes(role, name, publicKey), joinPrefixed(signature));
}

/** Reads a provider's certificate. @throws {CodedError} `RECOVER_MALFORMED`. */
export function decodeProviderCertificate(bytes: Uint8Array): ProviderCertificate {
  const [version, role] = bytes;
  if (
    version !== PROVIDER_CERTIFICATE_VERSION ||
    (role !== ROLE.PROVIDER_STATIC && role !== ROLE.PROVIDER_EPHEMERAL)
  ) {
    throw new CodedError("RECOVER_MALFORMED", "Cannot read provider certificate: no such version or role");
  }
  const [name, publicKey, signature] = split(
    bytes.subarray(2),
    [{ min: 1, max: LENGTH.PROVIDER_NAME_MAX }, PUBLIC_KEY_LENGTH, SIGNATURE_FIELD],
    "provider certificate",
  );
  try {
    return { role, name: fromUtf8(name), publicKey, signature };
  } catch {
    throw new CodedError("RECOVER_MALFORMED", "Cannot read provider certificate: its name is not UTF-8");
  }
}

/** Refuses what is not signed by `signer`. @throws {CodedError} `RECOVER_CERTIFICATE`. */
export function requireSignature(
  signer: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  what: string,
): void {
  if (!ecdsaVerify(signer, message, signature)) {
    throw new CodedError("RECOVER_CERTIFICATE", `Cannot accept ${what}: its signature is wrong`);
  }
}

function split<const L extends Parameters<typeof splitPrefixed>[1]>(
  bytes: Uint8Array,
  lengths: L,
  what: string,
) {
  try {
    return splitPrefixed(bytes, lengths);
  } catch (error) {
    throw new CodedError(
      "RECOVER_MALFORMED",
      `Cannot read ${what}: a field is missing or has a wrong length`,
      {},
      error,
    );
  }
}
