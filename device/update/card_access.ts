/** The card on the reader as an update uses it: which chip it is, its applet if it answers, and every APDU counted. */

import { CodedError } from "shared/base/errors.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { cplcHex, getCplcCommand, parseCplc } from "shared/protocol/gp/cplc.ts";
import { selectDefaultCommand } from "shared/protocol/gp/select.ts";
import type { Transmit } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { CardSession } from "../wallet/card_session.ts";
import type { WalletTrust } from "../wallet/trust.ts";
import "./errors.ts";

/** What went to the card and back. */
export interface Traffic {
  apdus: number;
  bytes: number;
}

/** Nothing sent yet. */
export function newTraffic(): Traffic {
  return { apdus: 0, bytes: 0 };
}

/** A card during one presentation. */
export class CardAccess {
  readonly #channel: CardChannel;
  readonly #trust: WalletTrust;
  readonly #random: RandomSource;
  #session: CardSession | undefined;

  /** @param traffic counts on. @param onApdu told after each APDU. */
  constructor(
    channel: CardChannel,
    trust: WalletTrust,
    random: RandomSource,
    traffic: Traffic,
    onApdu: () => void,
  ) {
    this.#trust = trust;
    this.#random = random;
    this.#channel = {
      get atr() {
        return channel.atr;
      },
      async transmit(command) {
        const answer = await channel.transmit(command);
        traffic.apdus++;
        traffic.bytes += command.length + answer.length;
        onApdu();
        return answer;
      },
      reset: () => channel.reset(),
      close: () => channel.close(),
    };
  }

  /** One command, whole. */
  readonly transmit: Transmit = (command) => transceive((bytes) => this.#channel.transmit(bytes), command);

  /** Production data of the chip (hex): they stay the same whatever is loaded. @throws {CodedError} `WALLET_UPDATE_OTHER_CARD`. */
  async cplc(): Promise<string> {
    await this.transmit(selectDefaultCommand());
    const answer = await this.transmit(getCplcCommand());
    if (answer.sw !== SW.OK) {
      throw new CodedError(
        "WALLET_UPDATE_OTHER_CARD",
        "Cannot update card: it does not tell its production data",
      );
    }
    return cplcHex(parseCplc(answer.data));
  }

  /**
   * A fresh session with the applet; undefined when it has none that can be selected, as in the middle of an update.
   * @param hostChallenge of a service that the card proves itself to.
   */
  async open(hostChallenge?: Uint8Array): Promise<CardSession | undefined> {
    this.release();
    try {
      this.#session = await CardSession.open({
        channel: this.#channel,
        trust: this.#trust,
        random: this.#random,
        ...(hostChallenge === undefined ? {} : { hostChallenge }),
      });
      return this.#session;
    } catch (error) {
      if (error instanceof CodedError && error.code === "WALLET_NO_APPLET") return undefined;
      throw error;
    }
  }

  /** Ends the session with the applet. */
  release(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  /** Lets the card go. */
  async close(): Promise<void> {
    this.release();
    await this.#channel.close();
  }
}
