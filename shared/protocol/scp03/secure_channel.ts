/** A secure channel as a processor over a transmit callback: plain commands in, plain answers out. */

import { CodedError } from "../../base/errors.ts";
import type { CommandApdu } from "../apdu/command.ts";
import type { ResponseApdu } from "../apdu/response.ts";
import { MODE_LENGTH, type Scp03Mode, type SecurityLevel } from "./constants.ts";
import { finishHandshake, type Scp03HostSession, startHandshake } from "./host_session.ts";
import { type InitializeUpdateAnswer, parseInitializeUpdate } from "./initialize_update.ts";
import type { StaticKeys } from "./keys.ts";
import { SW_UNWRAP_FAILED } from "./card_session.ts";
import "./errors.ts";

/** Sends one command to the card and returns its answer. */
export type Transmit = (c: CommandApdu) => Promise<ResponseApdu>;

/** How to open a channel. */
export interface SecureChannelOptions {
  readonly transmit: Transmit;
  /** Key version to ask for; 0 takes the card's first. */
  readonly keyVersion: number;
  /** The keys, or how to find them from what the card says (diversification data, key version). */
  readonly keys: StaticKeys | ((info: InitializeUpdateAnswer) => Promise<StaticKeys>);
  readonly level: SecurityLevel;
  /** Source of the host challenge. */
  readonly random: (length: number) => Uint8Array;
  /** `08` for the Recovery Key applet. */
  readonly wireCla?: number;
  /** S8 unless given. */
  readonly mode?: Scp03Mode;
}

const SW_OK = 0x9000;

function statusHex(sw: number): string {
  return sw.toString(16).toUpperCase().padStart(4, "0");
}

/** An open SCP03 channel. One command in flight; dead after a MAC failure or a lost answer. */
export class SecureChannel {
  /** What the card said in INITIALIZE UPDATE. */
  readonly info: InitializeUpdateAnswer;
  readonly #transmit: Transmit;
  readonly #session: Scp03HostSession;
  readonly #wireCla: number | undefined;
  #busy = false;

  private constructor(
    options: SecureChannelOptions,
    info: InitializeUpdateAnswer,
    session: Scp03HostSession,
  ) {
    this.info = info;
    this.#transmit = options.transmit;
    this.#session = session;
    this.#wireCla = options.wireCla;
  }

  /**
   * Authenticates both ends with one key set. There is never a second attempt: cards count failures and lock.
   * @throws {CodedError} `SCP03_INITIALIZE_REFUSED`, `SCP03_MALFORMED`, `SCP03_PROTOCOL`, `SCP03_KEY_VERSION`,
   * `SCP03_CARD_CRYPTOGRAM` (nothing more was sent), `SCP03_AUTHENTICATION_FAILED`, and what `transmit` throws.
   */
  static async open(options: SecureChannelOptions): Promise<SecureChannel> {
    const mode = options.mode ?? "S8";
    const hostChallenge = options.random(MODE_LENGTH[mode]);
    const start = startHandshake({ keyVersion: options.keyVersion, hostChallenge });
    const answer = await options.transmit(start.command);
    if (answer.sw !== SW_OK) {
      throw new CodedError(
        "SCP03_INITIALIZE_REFUSED",
        `Cannot open secure channel: the card answers INITIALIZE UPDATE with ${statusHex(answer.sw)}`,
        { sw: answer.sw, keyVersion: options.keyVersion },
      );
    }
    const info = parseInitializeUpdate(answer.data, mode);
    if (options.keyVersion !== 0 && info.keyVersion !== options.keyVersion) {
      throw new CodedError(
        "SCP03_KEY_VERSION",
        `Cannot open secure channel: key version ${info.keyVersion} answered, ${options.keyVersion} asked`,
        { keyVersion: info.keyVersion },
      );
    }
    const keys = typeof options.keys === "function" ? await options.keys(info) : options.keys;
    const { session, externalAuthenticate } = finishHandshake({
      parsed: info,
      hostChallenge,
      keys,
      level: options.level,
    });
    try {
      const outcome = await options.transmit(externalAuthenticate);
      if (outcome.sw !== SW_OK) {
        throw new CodedError(
          "SCP03_AUTHENTICATION_FAILED",
          `Cannot open secure channel: the card answers EXTERNAL AUTHENTICATE with ${statusHex(outcome.sw)}`,
          { sw: outcome.sw, keyVersion: info.keyVersion },
        );
      }
    } catch (error) {
      session.kill();
      throw error;
    }
    return new SecureChannel(options, info, session);
  }

  /** Security level of the channel. */
  get level(): SecurityLevel {
    return this.#session.level;
  }

  /** Whether commands can still be sent. */
  get alive(): boolean {
    return this.#session.alive;
  }

  /**
   * Sends one command through the channel. An error status word is a value, not an exception.
   * @throws {CodedError} `SCP03_DEAD`, `SCP03_BUSY`, `SCP03_TOO_LONG` (nothing was sent); `SCP03_RMAC_MISSING`,
   * `SCP03_RMAC_WRONG`, `SCP03_DECRYPTION` and what `transmit` throws (the channel is dead then).
   */
  async send(c: CommandApdu): Promise<ResponseApdu> {
    if (this.#busy) {
      throw new CodedError("SCP03_BUSY", "Cannot send command: another one is in flight in this channel");
    }
    const wrapped = this.#session.wrap(c, this.#wireCla === undefined ? {} : { wireCla: this.#wireCla });
    this.#busy = true;
    try {
      const plain = this.#session.unwrap(await this.#transmit(wrapped));
      // The card's session ended with this status word; ours must not go on.
      if (plain.sw === SW_UNWRAP_FAILED) this.#session.kill();
      return plain;
    } catch (error) {
      // A lost answer leaves both counters unknown to each other.
      this.#session.kill();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Encrypts key material for PUT KEY with the static DEK; whole blocks. @throws {CodedError} `SCP03_DEK_LENGTH`. */
  encryptWithDek(data: Uint8Array): Uint8Array {
    return this.#session.encryptWithDek(data);
  }

  /** Forgets the session keys. The card learns nothing; select an application to end its side. */
  close(): void {
    this.#session.kill();
  }
}
