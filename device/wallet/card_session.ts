/**
 * One session with a card: SELECT, the wallet channel, full mutual authentication, then the applet's commands, each answer
 * checked for plausibility. spec/card.md, sections 2 to 6 and 9. After any refusal or fault the session is over: the caller
 * opens a new one.
 */

import { createHash } from "node:crypto";
import { equal, equalConstantTime, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { type CapsuleKeys, openCapsule, wipeCapsuleKeys } from "shared/protocol/recovery_key/capsule.ts";
import * as commands from "shared/protocol/recovery_key/commands.ts";
import {
  CLA_RECOVERY_KEY,
  LIFE_CYCLE,
  TAG_CARD_NAME,
  TAG_PIN_TRIES_LEFT,
  TRANSIENT,
} from "shared/protocol/recovery_key/constants.ts";
import { possibleSigners } from "shared/crypto/secp256k1.ts";
import type { CardEphemeralCertificate } from "shared/protocol/recovery_key/host_certificate.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { isSignedBySeed, parseVerifySeedAnswer } from "shared/protocol/recovery_key/seed_key.ts";
import { type AppletStatus, parseStatus } from "shared/protocol/recovery_key/status.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { showCardName } from "./card_name.ts";
import type { CardFacts } from "./card_facts.ts";
import type { WalletTrust } from "./trust.ts";
import "./errors.ts";
import "./genuine_check.ts";

/** Level of the wallet channel: both ways encrypted and authenticated. */
const LEVEL = 0x33;
const IV_LENGTH = 16;
const SEED_CHALLENGE_LENGTH = 32;
/** Tries of a fresh card PIN. */
export const CARD_PIN_TRIES = 3;

/** What a session needs. */
export interface CardSessionOptions {
  readonly channel: CardChannel;
  readonly trust: WalletTrust;
  readonly random: RandomSource;
  /** Challenge (8) of a service to which the card is to prove itself. */
  readonly hostChallenge?: Uint8Array;
}

/** What a card gave to prove itself to whoever made the host challenge. */
export interface CardProof {
  /** As the card stores it. */
  readonly certificate: Uint8Array;
  readonly ephemeral: CardEphemeralCertificate;
}

/** What VERIFY PIN came to. A wrong or wiped one has ended the session. */
export type PinOutcome =
  | { readonly kind: "right" }
  | { readonly kind: "wrong"; readonly triesLeft: number }
  | { readonly kind: "wiped" };

/** An authenticated session. */
export class CardSession {
  /** The card's status after authentication. */
  readonly status: AppletStatus;
  /** SHA-256 (hex) of its certificate. */
  readonly certificateSha256: string;
  /** What the card proved itself with. */
  readonly proof: CardProof;
  readonly #secure: SecureChannel;
  readonly #keys: CapsuleKeys;
  readonly #random: RandomSource;
  readonly #counted: { apdus: number };
  #triesLeft: number | undefined;
  #ended = false;

  private constructor(
    secure: SecureChannel,
    keys: CapsuleKeys,
    random: RandomSource,
    status: AppletStatus,
    proof: CardProof,
    counted: { apdus: number },
  ) {
    this.#secure = secure;
    this.#keys = keys;
    this.#random = random;
    this.status = status;
    this.certificateSha256 = toHex(createHash("sha256").update(proof.certificate).digest());
    this.proof = proof;
    this.#counted = counted;
  }

  /**
   * Selects the applet and authenticates card and wallet to each other.
   * @throws {CodedError} `WALLET_NO_APPLET`, `WALLET_NOT_ATTESTED`, `WALLET_OTHER_TARGET`, `WALLET_STATUS`, those of SCP03
   * and of `mutualAuthenticate`, and those of the channel.
   */
  static async open({ channel, trust, random, hostChallenge }: CardSessionOptions): Promise<CardSession> {
    const counted = { apdus: 0 };
    const transmit = (command: CommandApdu) =>
      transceive((bytes) => {
        counted.apdus++;
        return channel.transmit(bytes);
      }, command);
    const selected = await transmit(selectCommand(trust.appletAid));
    if (selected.sw !== SW.OK) {
      throw new CodedError(
        "WALLET_NO_APPLET",
        `Cannot check card: it has no Recovery Key applet ${toHex(trust.appletAid)} (${
          formatStatus(selected.sw)
        })`,
      );
    }
    const secure = await SecureChannel.open({
      transmit,
      keyVersion: trust.channelKeyVersion,
      keys: trust.channelKeys,
      level: LEVEL,
      random,
      wireCla: CLA_RECOVERY_KEY,
    });
    let keys: CapsuleKeys | undefined;
    try {
      const before = await readStatus(secure);
      requireUsable(before, trust);
      const result = await mutualAuthenticate({
        send: (command) => secure.send(command),
        issuerPublicKey: trust.issuerPublicKey,
        host: trust.host,
        random,
        strict: trust.strict,
        expectedSerial: before.serial,
        ...(hostChallenge === undefined ? {} : { hostChallenge }),
      });
      keys = result.capsuleKeys;
      const after = await readStatus(secure);
      if (!isSameCard(before, after) || after.transient !== TRANSIENT.AUTHENTICATED) {
        throw new CodedError(
          "WALLET_STATUS",
          "Cannot trust card: its status after the check is not what it must be",
        );
      }
      const proof = { certificate: result.cardCertificate.bytes, ephemeral: result.cardEphemeral };
      return new CardSession(secure, keys, random, after, proof, counted);
    } catch (error) {
      if (keys) wipeCapsuleKeys(keys);
      secure.close();
      throw error;
    }
  }

  /** APDUs of this session so far. */
  get apdus(): number {
    return this.#counted.apdus;
  }

  /** Serial (hex). */
  get serial(): string {
    return toHex(this.status.serial);
  }

  /** What is shown of the card; reads its name and tries when it is in use. */
  async facts(): Promise<CardFacts> {
    const inUse = this.status.lifeCycle === LIFE_CYCLE.USER_PERSONALIZED;
    const { major, minor, patch } = this.status.version;
    const name = inUse ? await this.readName() : undefined;
    return {
      serial: this.serial,
      name: name === undefined ? null : showCardName(name),
      version: `${major}.${minor}.${patch}`,
      lifeCycle: this.status.lifeCycle,
      pinTriesLeft: inUse ? await this.readTriesLeft() : null,
      certificateSha256: this.certificateSha256,
    };
  }

  /** The card's name; undefined when it has none. @throws {CodedError} `WALLET_IMPLAUSIBLE` over 32 bytes. */
  async readName(): Promise<Uint8Array | undefined> {
    return await this.#run(async () => {
      const command = commands.getDataCommand(this.#keys, TAG_CARD_NAME);
      const answer = await this.#secure.send(command);
      if (answer.sw === SW.REFERENCED_DATA_NOT_FOUND) return undefined;
      const name = commands.parseDataAnswer(this.#open(answer, "GET DATA (name)"), TAG_CARD_NAME);
      if (name.length > commands.CARD_NAME_MAX) throw implausible(`a name of ${name.length} bytes`);
      return name.length === 0 ? undefined : name;
    });
  }

  /** PIN tries left. @throws {CodedError} `WALLET_IMPLAUSIBLE` unless it is one byte from 0 to 3. */
  async readTriesLeft(): Promise<number> {
    return await this.#run(async () => {
      const command = commands.getDataCommand(this.#keys, TAG_PIN_TRIES_LEFT);
      const answer = await this.#secure.send(command);
      const value = commands.parseDataAnswer(this.#open(answer, "GET DATA (tries)"), TAG_PIN_TRIES_LEFT);
      if (value.length !== 1 || value[0]! > CARD_PIN_TRIES) throw implausible("the count of its PIN tries");
      this.#triesLeft = value[0]!;
      return value[0]!;
    });
  }

  /** VERIFY PIN; `readTriesLeft` comes first, so that nobody spends a try without knowing. */
  async verifyPin(pin: Secret): Promise<PinOutcome> {
    return await this.#run(async () => {
      const before = this.#triesLeft;
      if (before === undefined) throw new CodedError("WALLET_FLOW", "Cannot verify PIN: tries were not read");
      const answer = await this.#secure.send(commands.verifyPinCommand(this.#keys, pin.reveal(), this.#iv()));
      if (answer.sw === SW.OK && before > 0) {
        this.#requireEmpty(answer, "VERIFY PIN");
        const status = await this.#status();
        if (status.transient !== TRANSIENT.PIN_UNLOCKED || !isSameCard(status, this.status)) {
          throw implausible("its status after the PIN");
        }
        return { kind: "right" };
      }
      if (answer.sw === SW.AUTHENTICATION_METHOD_BLOCKED && before <= 1) {
        await this.#requireWiped();
        this.close();
        return { kind: "wiped" };
      }
      const triesLeft = answer.sw - SW.PIN_TRIES_LEFT;
      if (triesLeft > 0 && triesLeft === before - 1) {
        this.close();
        return { kind: "wrong", triesLeft };
      }
      throw implausible(`the answer ${formatStatus(answer.sw)} to a PIN with ${before} tries left`);
    });
  }

  /** SET PIN and SET SEED: the card keeps both, or, torn before the second, neither. */
  async writeBackup(pin: Secret, entropy: Secret): Promise<void> {
    await this.#run(async () => {
      await this.#expectOk(commands.setPinCommand(this.#keys, pin.reveal(), this.#iv()), "SET PIN");
      await this.#expectOk(commands.setSeedCommand(this.#keys, entropy, this.#iv()), "SET SEED");
      const status = await this.#status();
      const right = equal(status.serial, this.status.serial) &&
        status.lifeCycle === LIFE_CYCLE.USER_PERSONALIZED && status.transient === TRANSIENT.PIN_UNLOCKED;
      if (!right) throw implausible("its status after SET SEED");
    });
  }

  /** RESTORE SEED; the caller wipes it. @throws {CodedError} `RK_MALFORMED` for another length or padding. */
  async readSeed(): Promise<Secret> {
    return await this.#run(async () => {
      const answer = await this.#secure.send(commands.restoreSeedCommand(this.#keys));
      const plain = this.#open(answer, "RESTORE SEED");
      try {
        return commands.decodeEntropy(plain);
      } finally {
        plain.fill(0);
      }
    });
  }

  /** VERIFY SEED: whether the card holds this entropy. */
  async holdsSeed(entropy: Secret): Promise<boolean> {
    return await this.#run(async () => {
      const challenge = this.#random(SEED_CHALLENGE_LENGTH);
      const command = commands.verifySeedCommand(this.#keys, challenge, this.#iv());
      const signature = parseVerifySeedAnswer(this.#open(await this.#secure.send(command), "VERIFY SEED"));
      return isSignedBySeed(entropy, challenge, signature);
    });
  }

  /**
   * VERIFY SEED without knowing the seed: the public keys (hex) that the card's answer can be by. Two answers by one seed have one
   * in common.
   */
  async seedSigners(): Promise<string[]> {
    return await this.#run(async () => {
      const challenge = this.#random(SEED_CHALLENGE_LENGTH);
      const command = commands.verifySeedCommand(this.#keys, challenge, this.#iv());
      const signature = parseVerifySeedAnswer(this.#open(await this.#secure.send(command), "VERIFY SEED"));
      return possibleSigners(challenge, signature).map(toHex);
    });
  }

  /** REQUEST UPGRADE: grants one upgrade. Only after `verifyPin`, so that a wrong PIN costs nothing here. */
  async requestUpgrade(pin: Secret): Promise<void> {
    await this.#run(() =>
      this.#expectOk(commands.requestUpgradeCommand(this.#keys, pin.reveal(), this.#iv()), "REQUEST UPGRADE")
    );
  }

  /** PIN CHANGE. */
  async changePin(pin: Secret): Promise<void> {
    await this.#run(() =>
      this.#expectOk(commands.pinChangeCommand(this.#keys, pin.reveal(), this.#iv()), "PIN CHANGE")
    );
  }

  /** SET DATA of the name, read back and compared. An empty one erases. */
  async writeName(name: Uint8Array): Promise<void> {
    await this.#run(() =>
      this.#expectOk(commands.setCardNameCommand(this.#keys, name, this.#iv()), "SET DATA (name)")
    );
    const read = await this.readName();
    if (!equalConstantTime(read ?? new Uint8Array(0), name)) {
      this.close();
      throw new CodedError("WALLET_CARD_DOUBTFUL", "Cannot trust card: its name reads back otherwise");
    }
  }

  /** FACTORY RESET; ends the session. */
  async wipe(): Promise<void> {
    await this.#run(async () => {
      await this.#expectOk(commands.factoryResetCommand(this.#keys), "FACTORY RESET");
      await this.#requireWiped();
      this.close();
    });
  }

  /** Ends the session and wipes its keys. Selecting the applet ends the card's side. */
  close(): void {
    this.#ended = true;
    wipeCapsuleKeys(this.#keys);
    this.#secure.close();
  }

  /** Runs one step; whatever goes wrong ends the session. */
  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#ended) throw new CodedError("WALLET_SESSION_ENDED", "Cannot use card: this session has ended");
    try {
      return await work();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #iv(): Uint8Array {
    return this.#random(IV_LENGTH);
  }

  async #status(): Promise<AppletStatus> {
    return await readStatus(this.#secure);
  }

  /** After a wipe the inner channel is gone, the outer one stands: GET STATUS must say 2/1. */
  async #requireWiped(): Promise<void> {
    const { serial, lifeCycle, transient } = await this.#status();
    const wiped = equal(serial, this.status.serial) && lifeCycle === LIFE_CYCLE.ATTESTED &&
      transient === TRANSIENT.INITIALIZED;
    if (!wiped) throw implausible("its status after it erased itself");
  }

  async #expectOk(command: CommandApdu, what: string): Promise<void> {
    this.#requireEmpty(await this.#secure.send(command), what);
  }

  #requireEmpty(answer: ResponseApdu, what: string): void {
    if (answer.sw !== SW.OK) throw refused(what, answer.sw);
    if (answer.data.length > 0) throw implausible(`${answer.data.length} bytes in answer to ${what}`);
  }

  #open(answer: ResponseApdu, what: string): Uint8Array {
    if (answer.sw !== SW.OK) throw refused(what, answer.sw);
    return openCapsule(this.#keys, answer.data);
  }
}

function requireUsable(status: AppletStatus, trust: WalletTrust): void {
  if (trust.targetId !== undefined && !equal(status.targetId, trust.targetId)) {
    throw new CodedError(
      "WALLET_OTHER_TARGET",
      `Cannot use card: it is for target ${toHex(status.targetId)}`,
    );
  }
  if (status.lifeCycle < LIFE_CYCLE.ATTESTED) {
    throw new CodedError(
      "WALLET_NOT_ATTESTED",
      `Cannot trust card: it was never attested (life cycle ${status.lifeCycle})`,
    );
  }
}

/** What an applet before 1.1 says of its package. */
const NOTHING_CLAIMED = new Uint8Array(0);

/** The same card with the same software in the same life cycle. */
function isSameCard(a: AppletStatus, b: AppletStatus): boolean {
  return equal(a.serial, b.serial) && equal(a.targetId, b.targetId) && a.lifeCycle === b.lifeCycle &&
    a.version.major === b.version.major && a.version.minor === b.version.minor &&
    a.version.patch === b.version.patch &&
    equal(a.packageHash ?? NOTHING_CLAIMED, b.packageHash ?? NOTHING_CLAIMED);
}

async function readStatus(secure: SecureChannel): Promise<AppletStatus> {
  const answer = await secure.send(commands.getStatusCommand());
  if (answer.sw !== SW.OK) {
    throw new CodedError("WALLET_STATUS", `Cannot read the card's status: ${formatStatus(answer.sw)}`);
  }
  return parseStatus(answer.data);
}

function refused(what: string, sw: number): CodedError {
  return new CodedError(
    "WALLET_CARD_REFUSED",
    `Cannot use card: it answers ${what} with ${formatStatus(sw)}`,
    {
      sw,
    },
  );
}

function implausible(what: string): CodedError {
  return new CodedError("WALLET_IMPLAUSIBLE", `Cannot trust card: no genuine card says this: ${what}`);
}
