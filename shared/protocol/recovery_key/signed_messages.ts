/**
 * The bytes under each signature of spec/card.md, section 5.2. Signers build them here from checked fields and
 * never sign bytes that they are given.
 */

import { concat } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { CHALLENGE_LENGTH, HOST_SERIAL_LENGTH, ROLE, TARGET_ID_LENGTH } from "./constants.ts";
import { requireLength } from "./length_prefixed.ts";

/** The card takes host challenges of 1 to 8 bytes. */
function requireHostChallenge(challenge: Uint8Array): Uint8Array {
  if (challenge.length === 0 || challenge.length > CHALLENGE_LENGTH) {
    throw new CodedError("RK_FIELD", `Cannot use host challenge: ${challenge.length} bytes, not 1 to 8`);
  }
  return challenge;
}

/**
 * Card public key attested in the factory, signed by the private key of DGI `8137`.
 * @param targetId 4 bytes. @param publicKey 65 bytes. @throws {CodedError} `RK_FIELD`.
 */
export function cardKeyMessage(targetId: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(ROLE.CARD),
    requireLength("target ID", targetId, TARGET_ID_LENGTH),
    requireLength("public key", publicKey, PUBLIC_KEY_LENGTH),
  );
}

/**
 * Card ephemeral key, signed by the card's static key.
 * @param cardChallenge 8 bytes. @param hostChallenge 1 to 8 bytes, 8 from this project's hosts.
 * @param ephemeral 65 bytes. @throws {CodedError} `RK_FIELD`.
 */
export function cardEphemeralMessage(
  cardChallenge: Uint8Array,
  hostChallenge: Uint8Array,
  ephemeral: Uint8Array,
): Uint8Array {
  return concat(
    Uint8Array.of(ROLE.CARD),
    requireLength("card challenge", cardChallenge, CHALLENGE_LENGTH),
    requireHostChallenge(hostChallenge),
    requireLength("ephemeral public key", ephemeral, PUBLIC_KEY_LENGTH),
  );
}

/**
 * Host static key, signed by the issuer.
 * @param hostSerial 7 bytes. @param publicKey 65 bytes. @throws {CodedError} `RK_FIELD`.
 */
export function hostStaticMessage(hostSerial: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(ROLE.HOST_STATIC),
    requireLength("host serial", hostSerial, HOST_SERIAL_LENGTH),
    requireLength("public key", publicKey, PUBLIC_KEY_LENGTH),
  );
}

/**
 * Host ephemeral key, signed by the host's static key.
 * @param hostChallenge 1 to 8 bytes, 8 from this project's hosts. @param cardChallenge 8 bytes.
 * @param ephemeral 65 bytes. @throws {CodedError} `RK_FIELD`.
 */
export function hostEphemeralMessage(
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
  ephemeral: Uint8Array,
): Uint8Array {
  return concat(
    Uint8Array.of(ROLE.HOST_EPHEMERAL),
    requireHostChallenge(hostChallenge),
    requireLength("card challenge", cardChallenge, CHALLENGE_LENGTH),
    requireLength("ephemeral public key", ephemeral, PUBLIC_KEY_LENGTH),
  );
}
