/** A card on a PC/SC reader: one context and one exclusive handle of its own, so that no card waits for another. */

import { CodedError } from "../../base/errors.ts";
import type { CardChannel } from "../card_channel.ts";
import { ANSWER_MAX, checkCommandLength, COMMAND_MAX, OneInFlight } from "../reader_service/exchange.ts";
import {
  MAX_ATR_SIZE,
  RESULT,
  SCARD_PROTOCOL_T0,
  SCARD_PROTOCOL_T1,
  SCARD_RESET_CARD,
  SCARD_SHARE_EXCLUSIVE,
  SCARD_UNPOWER_CARD,
} from "./constants.ts";
import { PcscContext } from "./context.ts";
import type { PcscLibrary } from "./library.ts";
import { resultError } from "./results.ts";
import "../card_channel.ts";

const PROTOCOLS = BigInt(SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1);
/** Length of SCARD_IO_REQUEST: DWORD dwProtocol, DWORD cbPciLength. */
const IO_REQUEST_LENGTH = 16n;

const STATUS_WORD_LENGTH = 2;

/** Options of a connection. */
export interface ChannelOptions {
  /** Longest wait for an answer, in milliseconds. PC/SC has no limit of its own. */
  readonly timeoutMs: number;
  /** Told once, when the channel has let its card go. */
  onClosed(channel: PcscChannel): void;
}

/** An exclusive connection. */
export class PcscChannel implements CardChannel {
  readonly #reader: string;
  readonly #context: PcscContext;
  readonly #options: ChannelOptions;
  readonly #exchange = new OneInFlight();
  readonly #handle = new BigInt64Array(1);
  readonly #protocol = new BigUint64Array(1);
  readonly #command = new Uint8Array(COMMAND_MAX);
  readonly #answer = new Uint8Array(ANSWER_MAX);
  #atr = new Uint8Array(0);
  #connected = false;
  #stuck = false;
  #closed: Promise<void> | undefined;

  private constructor(reader: string, context: PcscContext, options: ChannelOptions) {
    this.#reader = reader;
    this.#context = context;
    this.#options = options;
  }

  /**
   * Connects with SCARD_SHARE_EXCLUSIVE, T=0 or T=1.
   * @throws {CodedError} `READER_UNKNOWN`, `CARD_ABSENT`, `CARD_BUSY`, `CARD_NO_ANSWER`, `PCSC_UNAVAILABLE`.
   */
  static async connect(library: PcscLibrary, reader: string, options: ChannelOptions): Promise<PcscChannel> {
    const channel = new PcscChannel(reader, await PcscContext.establish(library), options);
    try {
      await channel.#connect();
      return channel;
    } catch (error) {
      await channel.close();
      throw error;
    }
  }

  get atr(): Uint8Array {
    return this.#atr.slice();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#exchange.run(async () => {
      checkCommandLength(command);
      this.#assertOpen();
      // Copied: the C side reads on another thread, while the caller is free to change or wipe its bytes.
      this.#command.set(command);
      const received = new BigUint64Array([BigInt(this.#answer.length)]);
      const protocol = new BigUint64Array([this.#protocol[0]!, IO_REQUEST_LENGTH]);
      const call = this.#context.call(
        (symbols) =>
          symbols.SCardTransmit(
            this.#handle[0]!,
            protocol,
            this.#command,
            BigInt(command.length),
            null,
            this.#answer,
            received,
          ),
        [protocol, this.#command, this.#answer, received],
      );
      const result = await this.#withinTime(call);
      this.#command.fill(0, 0, command.length);
      if (result !== RESULT.SCARD_S_SUCCESS) throw await this.#explain("send a command", result);
      // QUIRK(vpcd 0.8): a card that leaves in mid-command is a success without an answer.
      if (Number(received[0]) < STATUS_WORD_LENGTH) {
        throw await this.#explain("send a command", RESULT.SCARD_E_NOT_TRANSACTED);
      }
      const answer = this.#answer.slice(0, Number(received[0]));
      this.#answer.fill(0, 0, answer.length);
      return answer;
    });
  }

  /** Cold reset: power off, power on. */
  reset(): Promise<void> {
    return this.#exchange.run(async () => {
      this.#assertOpen();
      const result = await this.#withinTime(this.#context.call(
        (symbols) =>
          symbols.SCardReconnect(
            this.#handle[0]!,
            BigInt(SCARD_SHARE_EXCLUSIVE),
            PROTOCOLS,
            BigInt(SCARD_UNPOWER_CARD),
            this.#protocol,
          ),
        [this.#protocol],
      ));
      if (result !== RESULT.SCARD_S_SUCCESS) throw await this.#explain("reset the card", result);
      await this.#readAtr();
    });
  }

  /** Resets the card, so that its sessions die with the connection, and lets it go. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const over = this.#disconnect().then(() => this.#context.release()).catch(() => {});
    // A call that hangs in a driver is not waited for: what is queued behind it runs when it comes back.
    if (!this.#stuck) await over;
    this.#options.onClosed(this);
  }

  async #connect(): Promise<void> {
    const reader = new TextEncoder().encode(this.#reader + "\0");
    const result = await this.#context.call(
      (symbols, context) =>
        symbols.SCardConnect(
          context,
          reader,
          BigInt(SCARD_SHARE_EXCLUSIVE),
          PROTOCOLS,
          this.#handle,
          this.#protocol,
        ),
      [reader, this.#handle, this.#protocol],
    );
    if (result !== RESULT.SCARD_S_SUCCESS) {
      throw resultError("connecting", `connect to ${this.#reader}`, result);
    }
    this.#connected = true;
    await this.#readAtr();
  }

  async #disconnect(): Promise<void> {
    if (!this.#connected) return;
    await this.#context.call((symbols) =>
      symbols.SCardDisconnect(this.#handle[0]!, BigInt(SCARD_RESET_CARD))
    );
  }

  async #readAtr(): Promise<void> {
    const nameLength = new BigUint64Array(1); // the name is not asked for: null, and its length comes back
    const state = new BigUint64Array(1);
    const protocol = new BigUint64Array(1);
    const atr = new Uint8Array(MAX_ATR_SIZE);
    const atrLength = new BigUint64Array([BigInt(MAX_ATR_SIZE)]);
    const result = await this.#context.call(
      (symbols) => symbols.SCardStatus(this.#handle[0]!, null, nameLength, state, protocol, atr, atrLength),
      [nameLength, state, protocol, atr, atrLength],
    );
    if (result !== RESULT.SCARD_S_SUCCESS) throw await this.#explain("read the answer to reset", result);
    this.#atr = atr.slice(0, Number(atrLength[0]));
  }

  #assertOpen(): void {
    if (this.#closed || this.#stuck) {
      throw new CodedError("CARD_CHANNEL_CLOSED", `Cannot use the card on ${this.#reader}: it was let go`);
    }
  }

  /** @throws {CodedError} `CARD_TIMEOUT`; the channel is of no more use, since the call cannot be taken back. */
  async #withinTime(call: Promise<number>): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#stuck = true;
        reject(
          new CodedError("CARD_TIMEOUT", `Cannot wait for the card on ${this.#reader}: no answer in time`, {
            timeoutMs: this.#options.timeoutMs,
          }),
        );
      }, this.#options.timeoutMs);
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A driver says the same when a card was pulled and when it was silent; the reader's state tells which. */
  async #explain(doing: string, result: number): Promise<CodedError> {
    const error = resultError("connected", `${doing} on ${this.#reader}`, result);
    const unclear = result === RESULT.SCARD_F_COMM_ERROR || error.code === "CARD_NO_ANSWER";
    if (!unclear) return error;
    const place = await this.#context.locateCard(this.#reader);
    const code =
      { "there": "CARD_NO_ANSWER", "gone": "CARD_REMOVED", "service-gone": "PCSC_UNAVAILABLE" }[place];
    return new CodedError(code, error.message, error.details);
  }
}
