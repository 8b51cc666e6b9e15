/** A card that does just enough to try a reader: attaches as vpcd's cards do, echoes, waits, leaves. */

import { concat } from "shared/base/bytes.ts";
import { decodeCommand } from "shared/protocol/apdu/command.ts";
import { CONTROL, encodeFrame, FrameReader } from "shared/transport/virtual_reader/frames.ts";

/** Instructions of the stub; class and parameters are free. */
export const STUB = {
  /** Answers the card's identifier (1). */
  select: 0xa4,
  /** Answers the data field. */
  echo: 0xec,
  /** Answers after P1 times 10 ms. */
  wait: 0xde,
  /** Leaves without an answer. */
  leave: 0xdd,
  /** Answers data of P1 P2 bytes. */
  fill: 0xf1,
  /** Opens a session, which ends with the power or a reset. */
  openSession: 0x50,
  /** Answers 01 while a session is open, else 00. */
  session: 0x51,
} as const;

const OK = Uint8Array.of(0x90, 0x00);

/** A stub in a reader. */
export class StubCard implements AsyncDisposable {
  readonly identifier: number;
  readonly #connection: Deno.TcpConn;
  readonly #running: Promise<void>;
  #session = 0;
  #left = false;

  private constructor(identifier: number, connection: Deno.TcpConn) {
    this.identifier = identifier;
    this.#connection = connection;
    this.#running = this.#run();
  }

  /** Puts the card on the reader that listens on a port. */
  static async insert(port: number, identifier = 1): Promise<StubCard> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    return new StubCard(identifier, connection);
  }

  /** Its answer to reset: T=1, the identifier as only historical byte, check byte. ISO/IEC 7816-3, 8.2. */
  get atr(): Uint8Array {
    return Uint8Array.of(0x3b, 0x81, 0x01, this.identifier, 0x80 ^ 0x01 ^ this.identifier ^ 0x01);
  }

  /** Takes the card away. */
  async pull(): Promise<void> {
    this.#leave();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.pull();
  }

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#connection.close();
  }

  async #run(): Promise<void> {
    const frames = new FrameReader();
    const buffer = new Uint8Array(4_096);
    try {
      while (!this.#left) {
        const length = await this.#connection.read(buffer);
        if (length === null) break;
        for (const message of frames.push(buffer.subarray(0, length))) await this.#receive(message);
      }
    } catch {
      // pulled, or the reader went: either way it is over
    } finally {
      this.#leave();
    }
  }

  async #receive(message: Uint8Array): Promise<void> {
    if (message.length === 1) {
      if (message[0] === CONTROL.atr) await this.#send(this.atr);
      else this.#session = 0;
      return;
    }
    const answer = await this.#answer(message);
    if (!this.#left) await this.#send(answer);
  }

  async #answer(message: Uint8Array): Promise<Uint8Array> {
    const { ins, p1, p2, data } = decodeCommand(message);
    switch (ins) {
      case STUB.select:
        return concat(Uint8Array.of(this.identifier), OK);
      case STUB.echo:
        return concat(data, OK);
      case STUB.wait:
        await new Promise((resolve) => setTimeout(resolve, 10 * p1));
        return OK;
      case STUB.leave:
        this.#leave();
        return OK;
      case STUB.fill:
        return concat(new Uint8Array(p1 * 256 + p2).fill(0xa5), OK);
      case STUB.openSession:
        this.#session = 1;
        return OK;
      case STUB.session:
        return concat(Uint8Array.of(this.#session), OK);
      default:
        return Uint8Array.of(0x6d, 0x00);
    }
  }

  async #send(message: Uint8Array): Promise<void> {
    const frame = encodeFrame(message);
    for (let sent = 0; sent < frame.length;) sent += await this.#connection.write(frame.subarray(sent));
  }
}
