/**
 * The host's side of the card's mutual authentication: four commands in a channel at level `33`. Spec/card.md,
 * sections 4 to 6. Used by the factory, which proves here that the certificate is for this card's key, and by the
 * wallet, which proves that the card is genuine.
 */

import { equal } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import {
  ecdhPoint,
  ecdsaSign,
  generatePrivateKey,
  isPublicKey,
  publicKeyOf,
} from "../../crypto/secp256k1.ts";
import type { CommandApdu } from "../apdu/command.ts";
import type { ResponseApdu } from "../apdu/response.ts";
import { type CapsuleKeys, deriveCapsuleKeys } from "./capsule.ts";
import { type LooseCardCertificate, parseCardCertificate, verifyCardCertificate } from "./certificate.ts";
import {
  getCardCertificateCommand,
  getCardEphemeralCommand,
  validateHostCertificateCommand,
  validateHostEphemeralCommand,
} from "./commands.ts";
import { CARD_SERIAL_LENGTH, CHALLENGE_LENGTH } from "./constants.ts";
import {
  type CardEphemeralCertificate,
  parseCardEphemeral,
  verifyCardEphemeral,
} from "./host_certificate.ts";
import { hostEphemeralMessage } from "./signed_messages.ts";
import "./errors.ts";

/** The host's identity. */
export interface HostIdentity {
  /** 7 bytes. */
  readonly serial: Uint8Array;
  /** 32 bytes. */
  readonly privateKey: Secret;
  /** 65 bytes. */
  readonly publicKey: Uint8Array;
  /** DER, by the issuer over `hostStaticMessage`. */
  readonly signature: Uint8Array;
}

/** What a mutual authentication needs. */
export interface MutualAuthenticationOptions {
  /** Sends one command through the channel: `(c) => channel.send(c)`. */
  readonly send: (c: CommandApdu) => Promise<ResponseApdu>;
  /** 65 bytes. */
  readonly issuerPublicKey: Uint8Array;
  readonly host: HostIdentity;
  /** Source of the host challenge and the ephemeral key. */
  readonly random: (length: number) => Uint8Array;
  /** Certificate by the wallet's rules; `false` only for cards of others, whose certificates lack tags. */
  readonly strict: boolean;
  /** Challenge (8) of somebody to whom the card is to prove itself through this host; drawn when it is left out. */
  readonly hostChallenge?: Uint8Array;
  /** Serial from GET STATUS (4 bytes): the certificate must name it. */
  readonly expectedSerial?: Uint8Array;
}

/** What came out of it. The owner wipes the keys. */
export interface MutualAuthentication {
  readonly cardCertificate: LooseCardCertificate;
  /** 4 bytes. */
  readonly cardSerial: Uint8Array;
  readonly capsuleKeys: CapsuleKeys;
  readonly hostChallenge: Uint8Array;
  readonly cardChallenge: Uint8Array;
  /** The card's signed ephemeral key: with its certificate, proof to whoever gave the host challenge. */
  readonly cardEphemeral: CardEphemeralCertificate;
}

const SW_OK = 0x9000;

function statusError(code: string, what: string, sw: number): CodedError {
  const status = sw.toString(16).toUpperCase().padStart(4, "0");
  return new CodedError(code, `Cannot authenticate card: it answers ${what} with ${status}`, { sw });
}

function readCertificate(data: Uint8Array, options: MutualAuthenticationOptions): LooseCardCertificate {
  let certificate: LooseCardCertificate;
  try {
    certificate = parseCardCertificate(data, { strict: options.strict });
  } catch (error) {
    throw new CodedError(
      "MUTUAL_CARD_CERTIFICATE",
      "Cannot authenticate card: its certificate breaks the rules",
      {},
      error,
    );
  }
  if (!verifyCardCertificate(certificate, options.issuerPublicKey)) {
    throw new CodedError(
      "MUTUAL_CARD_CERTIFICATE",
      "Cannot authenticate card: the issuer did not sign its certificate",
    );
  }
  const { serial, publicKey } = certificate;
  if (serial.length !== CARD_SERIAL_LENGTH || publicKey === undefined || !isPublicKey(publicKey)) {
    throw new CodedError(
      "MUTUAL_CARD_CERTIFICATE",
      "Cannot authenticate card: its certificate names no serial or key",
    );
  }
  if (options.expectedSerial !== undefined && !equal(serial, options.expectedSerial)) {
    throw new CodedError(
      "MUTUAL_CARD_SERIAL",
      "Cannot authenticate card: its certificate names another serial",
    );
  }
  return certificate;
}

function readEphemeral(data: Uint8Array): CardEphemeralCertificate {
  try {
    return parseCardEphemeral(data);
  } catch (error) {
    throw new CodedError(
      "MUTUAL_MALFORMED",
      "Cannot authenticate card: malformed ephemeral certificate",
      {},
      error,
    );
  }
}

/**
 * Authenticates card and host to each other and derives the keys of the second channel. The card's proof is
 * checked before the host says who it is. Needs a fresh SELECT: the card takes one host certificate for each.
 * @throws {CodedError} `MUTUAL_CARD_REFUSED`, `MUTUAL_CARD_CERTIFICATE`, `MUTUAL_CARD_SERIAL`, `MUTUAL_MALFORMED`,
 * `MUTUAL_CARD_SIGNATURE`, `MUTUAL_HOST_REFUSED`, and what `send` throws.
 */
export async function mutualAuthenticate(
  options: MutualAuthenticationOptions,
): Promise<MutualAuthentication> {
  const { send, host, random } = options;
  const hostChallenge = options.hostChallenge ?? random(CHALLENGE_LENGTH);

  const staticAnswer = await send(getCardCertificateCommand(hostChallenge));
  if (staticAnswer.sw !== SW_OK) {
    throw statusError("MUTUAL_CARD_REFUSED", "GET CARD CERTIFICATE", staticAnswer.sw);
  }
  const cardCertificate = readCertificate(staticAnswer.data, options);

  const ephemeralAnswer = await send(getCardEphemeralCommand());
  if (ephemeralAnswer.sw !== SW_OK) {
    throw statusError("MUTUAL_CARD_REFUSED", "GET CARD CERTIFICATE (ephemeral)", ephemeralAnswer.sw);
  }
  const card = readEphemeral(ephemeralAnswer.data);
  // `readCertificate` has seen to it that there is a key.
  if (!verifyCardEphemeral(card, cardCertificate.publicKey!, hostChallenge)) {
    throw new CodedError(
      "MUTUAL_CARD_SIGNATURE",
      "Cannot authenticate card: it does not have its certificate's key",
    );
  }
  if (!isPublicKey(card.ephemeral)) {
    throw new CodedError(
      "MUTUAL_MALFORMED",
      "Cannot authenticate card: its ephemeral key is not on the curve",
    );
  }

  const staticOutcome = await send(validateHostCertificateCommand(host));
  if (staticOutcome.sw !== SW_OK) {
    throw statusError("MUTUAL_HOST_REFUSED", "VALIDATE HOST CERTIFICATE", staticOutcome.sw);
  }
  const ephemeralKey = generatePrivateKey(random);
  try {
    const ephemeral = publicKeyOf(ephemeralKey);
    const message = hostEphemeralMessage(hostChallenge, card.cardChallenge, ephemeral);
    const signature = ecdsaSign(host.privateKey, message);
    const outcome = await send(validateHostEphemeralCommand({ ephemeral, signature }));
    if (outcome.sw !== SW_OK) {
      throw statusError("MUTUAL_HOST_REFUSED", "VALIDATE HOST CERTIFICATE (ephemeral)", outcome.sw);
    }
    const sharedPoint = ecdhPoint(ephemeralKey, card.ephemeral);
    try {
      const capsuleKeys = deriveCapsuleKeys({
        sharedPoint,
        hostChallenge,
        cardChallenge: card.cardChallenge,
        hostSerial: host.serial,
        cardSerial: cardCertificate.serial,
      });
      return {
        cardCertificate,
        cardSerial: cardCertificate.serial,
        capsuleKeys,
        hostChallenge,
        cardChallenge: card.cardChallenge,
        cardEphemeral: card,
      };
    } finally {
      sharedPoint.fill(0);
    }
  } finally {
    ephemeralKey.wipe();
  }
}
