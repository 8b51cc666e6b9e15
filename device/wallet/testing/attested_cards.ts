/** Attested virtual cards and the trust of a wallet for them, without a factory: for tests. */

import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse } from "shared/protocol/apdu/response.ts";
import { installForPersonalization } from "shared/protocol/gp/install.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import { buildCardCertificateBody, finishCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import {
  getPublicKeyCommand,
  setCertificateCommand,
  setStatusAttestedCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { APPLET_AID, ISD_AID } from "shared/protocol/recovery_key/constants.ts";
import { personalizationData } from "shared/protocol/recovery_key/personalization_data.ts";
import { parsePublicKeyAnswer } from "shared/protocol/recovery_key/public_key.ts";
import { finishRevocationList, revocationListMessage } from "shared/protocol/recovery_key/revocation_list.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { encodeSimple } from "shared/protocol/tlv/simple.ts";
import { type OpenCardOptions, VirtualCard } from "../../card/virtual_card.ts";
import { parseTrust, type WalletTrust } from "../trust.ts";

const TEST_KEY = "404142434445464748494A4B4C4D4E4F";
const KEY_VERSION = 0x30;

/** An issuer whose cards the trust file takes. */
export interface TestIssuer {
  /** Text of a trust file, with fields exchanged. */
  trustFile(change?: Readonly<Record<string, unknown>>): string;
  /** The same, read. */
  trust(change?: Readonly<Record<string, unknown>>): WalletTrust;
  /** An attested card. @param serial 4 bytes of hex. @param stateFile its memory; absent: in the process. */
  card(
    serial: string,
    stateFile?: string,
    foreign?: ForeignCard,
    more?: OpenCardOptions,
  ): Promise<VirtualCard>;
  /** 65 bytes. */
  readonly publicKey: Uint8Array;
  /** A list of revoked certificates, signed. @param revoked SHA-256 of certificates, hex. */
  revocations(revoked?: readonly string[], number?: number): string;
}

/** What a card of somebody else is: another instance AID, other channel keys, a certificate with the tags it needs alone. */
export interface ForeignCard {
  /** Hex. */
  readonly aid: string;
  /** One byte. */
  readonly keyVersion: number;
  /** ENC, MAC and DEK, hex. */
  readonly key: string;
  /** 4 bytes of hex. */
  readonly targetId: string;
}

/** Makes an issuer. */
export function testIssuer(): TestIssuer {
  const issuerKey = generatePrivateKey(SYSTEM_RANDOM);
  const hostKey = generatePrivateKey(SYSTEM_RANDOM);
  const hostSerial = fromHex("48573030303031");
  const trustFile = (change: Readonly<Record<string, unknown>> = {}) =>
    JSON.stringify({
      issuerPublicKey: toHex(publicKeyOf(issuerKey)),
      hostSerial: toHex(hostSerial),
      hostPrivateKey: toHex(hostKey.reveal()),
      hostSignature: toHex(ecdsaSign(issuerKey, hostStaticMessage(hostSerial, publicKeyOf(hostKey)))),
      appletAid: toHex(APPLET_AID),
      channelKeys: { version: KEY_VERSION, enc: TEST_KEY, mac: TEST_KEY, dek: TEST_KEY },
      ...change,
    });
  return {
    trustFile,
    trust: (change) => parseTrust(trustFile(change), () => ""),
    publicKey: publicKeyOf(issuerKey),
    revocations(revoked = [], number = 1) {
      const now = Math.floor(Date.now() / 1000);
      const message = revocationListMessage({
        number,
        thisUpdate: now,
        nextUpdate: now + 86_400,
        revoked: revoked.map((certificateSha256) => ({
          certificateSha256,
          serial: "00000000",
          reason: "missing",
        })),
      }, publicKeyOf(issuerKey));
      return finishRevocationList(message, ecdsaSign(issuerKey, message));
    },
    async card(serial, stateFile, foreign, more = {}) {
      const keys = foreign && { enc: foreign.key, mac: foreign.key, dek: foreign.key };
      const { preloaded, ...options } = more;
      const card = await VirtualCard.open({
        ...options,
        preloaded: {
          ...preloaded,
          package: {},
          instance: { domain: "isd", ...(foreign ? { aid: foreign.aid } : {}) },
        },
        ...(stateFile === undefined ? {} : { stateFile }),
        ...(foreign ? { targetId: foreign.targetId } : {}),
        ...(foreign && keys ? { isdKeys: { version: hexByte(foreign.keyVersion), ...keys } } : {}),
      });
      await attest(card, fromHex(serial), issuerKey, foreign);
      return card;
    },
  };
}

const hexByte = (value: number) => value.toString(16).padStart(2, "0");

async function attest(
  card: VirtualCard,
  serial: Uint8Array,
  issuerKey: Secret,
  foreign: ForeignCard | undefined,
): Promise<void> {
  const appletAid = foreign ? fromHex(foreign.aid) : APPLET_AID;
  card.powerOn();
  const transmit = async (command: CommandApdu) => decodeResponse(await card.process(encodeCommand(command)));
  const key = () => new Secret(fromHex(foreign?.key ?? TEST_KEY));
  const open = async (aid: Uint8Array, wireCla?: number) => {
    await transmit(selectCommand(aid));
    const channel = await SecureChannel.open({
      transmit,
      keyVersion: foreign?.keyVersion ?? KEY_VERSION,
      keys: { enc: key(), mac: key(), dek: key() },
      level: 0x33,
      random: SYSTEM_RANDOM,
      ...(wireCla === undefined ? {} : { wireCla }),
    });
    return async (command: CommandApdu) => {
      const { sw, data } = await channel.send(command);
      if (sw !== 0x9000) throw new Error(`Cannot attest test card: ${sw.toString(16)}`);
      return data;
    };
  };
  const domain = await open(ISD_AID);
  await domain(installForPersonalization(appletAid));
  const attestationKey = generatePrivateKey(SYSTEM_RANDOM);
  const blocks = personalizationData({ serial, attestationKey, issuerPublicKey: publicKeyOf(issuerKey) });
  for (const store of storeDataCommands(blocks)) await domain(store);
  const applet = await open(appletAid, 0x08);
  const { publicKey } = parsePublicKeyAnswer(await applet(getPublicKeyCommand()));
  const body = foreign
    ? concat(encodeSimple(0x20, serial), encodeSimple(0x33, publicKey))
    : buildCardCertificateBody({ serial, publicKey, targetDevice: 4 });
  await applet(setCertificateCommand(finishCardCertificate(body, ecdsaSign(issuerKey, body))));
  await applet(setStatusAttestedCommand());
  card.powerOff();
}
