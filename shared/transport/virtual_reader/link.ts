/** The connection of one virtual card, seen from its reader. */

import { CodedError } from "../../base/errors.ts";
import { CONTROL, encodeFrame, FrameReader } from "./frames.ts";
import "../card_channel.ts";

const READ_SIZE = 16_384;

/** One message is out and its answer awaited, or none. The link dies with its connection, and that is the removal. */
export class CardLink {
  readonly #connection: Deno.Conn;
  readonly #reader: string;
  readonly #timeoutMs: number;
  readonly #gone = Promise.withResolvers<void>();
  #waiting: PromiseWithResolvers<Uint8Array> | undefined;
  #isGone = false;

  constructor(connection: Deno.Conn, reader: string, timeoutMs: number) {
    this.#connection = connection;
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
    void this.#read();
  }

  /** Resolves when the card has left. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Whether the card has left. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Sends a control that has no answer. @throws {CodedError} `CARD_REMOVED`. */
  async control(code: number): Promise<void> {
    await this.#write(Uint8Array.of(code));
  }

  /** Asks for the answer to reset. @throws {CodedError} `CARD_REMOVED`, `CARD_TIMEOUT`. */
  atr(): Promise<Uint8Array> {
    return this.exchange(Uint8Array.of(CONTROL.atr));
  }

  /**
   * Sends a message and waits for its answer. A card that is too late is cut off: its answer would be taken
   * for the next one's.
   * @throws {CodedError} `CARD_REMOVED`, `CARD_TIMEOUT`.
   */
  async exchange(message: Uint8Array): Promise<Uint8Array> {
    const waiting = Promise.withResolvers<Uint8Array>();
    waiting.promise.catch(() => {}); // awaited below, after the write
    this.#waiting = waiting;
    const timer = setTimeout(() => {
      waiting.reject(
        new CodedError("CARD_TIMEOUT", `Cannot wait for the card on ${this.#reader}: no answer in time`, {
          timeoutMs: this.#timeoutMs,
        }),
      );
      this.close();
    }, this.#timeoutMs);
    try {
      await this.#write(message);
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  /** Cuts the card off. Safe to call twice. */
  close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    try {
      this.#connection.close();
    } catch {
      // closed by the other side already
    }
    this.#waiting?.reject(this.#removed());
    this.#gone.resolve();
  }

  async #write(message: Uint8Array): Promise<void> {
    if (this.#isGone) throw this.#removed();
    const frame = encodeFrame(message);
    try {
      for (let sent = 0; sent < frame.length;) sent += await this.#connection.write(frame.subarray(sent));
    } catch {
      this.close();
      throw this.#waiting
        ? await this.#waiting.promise.then(() => this.#removed(), (error) => error)
        : this.#removed();
    }
  }

  async #read(): Promise<void> {
    const frames = new FrameReader();
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        const length = await this.#connection.read(buffer);
        if (length === null) break;
        for (const message of frames.push(buffer.subarray(0, length))) {
          // A message that nobody asked for would be taken for the next answer.
          if (this.#waiting === undefined) return;
          const waiting = this.#waiting;
          this.#waiting = undefined;
          waiting.resolve(message);
        }
      }
    } catch {
      // reset by the other side, or closed by us: removed either way
    } finally {
      this.close();
    }
  }

  #removed(): CodedError {
    return new CodedError("CARD_REMOVED", `Cannot reach the card on ${this.#reader}: it was removed`);
  }
}
