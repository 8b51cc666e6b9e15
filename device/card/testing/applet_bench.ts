/** The Recovery Key applet brought into each of its states by the commands that lead there. For tests. */

import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { installForPersonalization } from "shared/protocol/gp/install.ts";
import { storeDataCommands } from "shared/protocol/gp/store_data.ts";
import type { CapsuleKeys } from "shared/protocol/recovery_key/capsule.ts";
import { buildCardCertificateBody, finishCardCertificate } from "shared/protocol/recovery_key/certificate.ts";
import {
  getPublicKeyCommand,
  setCertificateCommand,
  setPinCommand,
  setSeedCommand,
  setStatusAttestedCommand,
  verifyPinCommand,
} from "shared/protocol/recovery_key/commands.ts";
import { type HostIdentity, mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { personalizationData } from "shared/protocol/recovery_key/personalization_data.ts";
import { parsePublicKeyAnswer } from "shared/protocol/recovery_key/public_key.ts";
import { hostStaticMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { RECOVERY_KEY_MODULE_AID } from "../constants.ts";
import { type CardState, decodeCardState, encodeCardState } from "../state.ts";
import { type CardStore, memoryStore } from "../store.ts";
import { type CardBench, cardBench, ok, testKeys } from "./bench.ts";

/** Life cycle / transient state, as GET STATUS reports them; `+PIN`: SET PIN was done. */
export const APPLET_STATES = ["0/0", "1/0", "2/1", "2/3", "2/3+PIN", "3/2", "3/3", "3/4"] as const;
/** One of them. */
export type AppletStateName = (typeof APPLET_STATES)[number];

/** Serial number of the cards made here. */
export const SERIAL: Uint8Array = fromHex("00C0FFEE");
/** PIN of a card that has a user. */
export const PIN: Uint8Array = Uint8Array.of(1, 2, 3, 4);
const ENTROPY = "0F".repeat(32);

const issuerKey = generatePrivateKey(SYSTEM_RANDOM);
const hostKey = generatePrivateKey(SYSTEM_RANDOM);
const hostSerial = fromHex("48573030303031");

/** Issuer's public key. */
export const issuerPublicKey: Uint8Array = publicKeyOf(issuerKey);
/** A wallet with a certificate of that issuer. */
export const HOST: HostIdentity = {
  serial: hostSerial,
  privateKey: hostKey,
  publicKey: publicKeyOf(hostKey),
  signature: ecdsaSign(issuerKey, hostStaticMessage(hostSerial, publicKeyOf(hostKey))),
};

/** A card certificate for a public key. */
export function cardCertificate(publicKey: Uint8Array): Uint8Array {
  const body = buildCardCertificateBody({ serial: SERIAL, publicKey, targetDevice: 4 });
  return finishCardCertificate(body, ecdsaSign(issuerKey, body));
}

/** The applet in a state, with an open channel and, where there is one, the keys of the inner channel. */
export interface AppletBench extends CardBench {
  readonly channel: SecureChannel;
  readonly capsuleKeys: CapsuleKeys | null;
  readonly store: CardStore;
}

/** Random bytes for a capsule. */
export const iv = (): Uint8Array => SYSTEM_RANDOM(16);

/** A memory that begins with a state. */
export function storeWith(state: CardState): CardStore {
  const store = memoryStore();
  store.save(decodeCardState(encodeCardState(state)));
  return store;
}

/** States by life cycle, made once: the way there costs key pairs and signatures. */
const STORED = new Map<string, CardState>();

async function openChannel(bench: CardBench): Promise<SecureChannel> {
  await bench.select(RECOVERY_KEY_MODULE_AID);
  return await bench.open(testKeys(), 0x33, { wireCla: 0x08 });
}

async function authenticate(channel: SecureChannel): Promise<CapsuleKeys> {
  const { capsuleKeys } = await mutualAuthenticate({
    send: (c: CommandApdu) => channel.send(c),
    issuerPublicKey,
    host: HOST,
    random: SYSTEM_RANDOM,
    strict: true,
  });
  return capsuleKeys;
}

/** Walks one card through its life and keeps its memory at each stop. */
async function makeStates(): Promise<void> {
  const store = memoryStore();
  const bench = await cardBench({ preloaded: { package: {}, instance: {} }, store });
  const isd = await bench.open();
  await ok(isd.send(installForPersonalization(RECOVERY_KEY_MODULE_AID)));
  const attestationKey = generatePrivateKey(SYSTEM_RANDOM);
  for (
    const c of storeDataCommands(personalizationData({ serial: SERIAL, attestationKey, issuerPublicKey }))
  ) {
    await ok(isd.send(c));
  }
  let channel = await openChannel(bench);
  const { publicKey } = parsePublicKeyAnswer(await ok(channel.send(getPublicKeyCommand())));
  STORED.set("0", store.load()!);
  await ok(channel.send(setCertificateCommand(cardCertificate(publicKey))));
  STORED.set("1", store.load()!);
  await ok(channel.send(setStatusAttestedCommand()));
  STORED.set("2", store.load()!);
  channel = await openChannel(bench);
  const keys = await authenticate(channel);
  await ok(channel.send(setPinCommand(keys, PIN, iv())));
  await ok(channel.send(setSeedCommand(keys, new Secret(fromHex(ENTROPY)), iv())));
  STORED.set("3", store.load()!);
}

/** A card whose applet is in a state. */
export async function appletIn(
  name: AppletStateName,
  store?: (state: CardState) => CardStore,
): Promise<AppletBench> {
  if (STORED.size === 0) await makeStates();
  const memory = (store ?? storeWith)(STORED.get(name[0]!)!);
  const bench = await cardBench({ store: memory });
  const channel = await openChannel(bench);
  const transient = name[2];
  const authenticated = transient === "3" || transient === "4";
  const capsuleKeys = authenticated ? await authenticate(channel) : null;
  if (name === "2/3+PIN") await ok(channel.send(setPinCommand(capsuleKeys!, PIN, iv())));
  if (transient === "4") await ok(channel.send(verifyPinCommand(capsuleKeys!, PIN, iv())));
  return { ...bench, channel, capsuleKeys, store: memory };
}
