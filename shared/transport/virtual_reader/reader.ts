/** One virtual reader: a TCP port to which one virtual card at a time connects, as it would to vpcd. */

import { CodedError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { CardChannel } from "../card_channel.ts";
import type { ReaderState } from "../reader_service/changes.ts";
import { checkCommandLength, OneInFlight } from "../reader_service/exchange.ts";
import { CONTROL, FRAME_MAX } from "./frames.ts";
import { CardLink } from "./link.ts";
import "../card_channel.ts";
import "./service.ts";

const NO_ATR = new Uint8Array(0);

/** A reader with its listener. */
export class VirtualReader {
  readonly name: string;
  readonly #listener: Deno.TcpListener;
  readonly #timeoutMs: number;
  readonly #changed: () => void;
  readonly #log: Logger;
  readonly #serving: Promise<void>;
  #link: CardLink | undefined;
  #channel: VirtualChannel | undefined;
  #state: ReaderState = { present: false, counter: 0, atr: NO_ATR };

  /** Listens at once. @param changed told after every insertion and removal. */
  constructor(
    options: {
      name: string;
      host: string;
      port: number;
      timeoutMs: number;
      log: Logger;
      changed: () => void;
    },
  ) {
    this.name = options.name;
    this.#timeoutMs = options.timeoutMs;
    this.#changed = options.changed;
    this.#log = options.log.with({ reader: options.name });
    try {
      this.#listener = Deno.listen({ hostname: options.host, port: options.port });
    } catch (error) {
      throw new CodedError(
        "VIRTUAL_READER_LISTEN",
        `Cannot open virtual reader ${options.name}: ${options.host}:${options.port} is not free`,
        { port: options.port },
        error,
      );
    }
    this.#serving = this.#serve();
  }

  /** The port, also when 0 was asked for. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** The present state. */
  get state(): ReaderState {
    return this.#state;
  }

  /** @throws {CodedError} `CARD_ABSENT`, `CARD_BUSY`. */
  connect(): CardChannel {
    const link = this.#link;
    if (link === undefined || link.isGone || !this.#state.present) {
      throw new CodedError("CARD_ABSENT", `Cannot connect to ${this.name}: there is no card`);
    }
    if (this.#channel !== undefined) {
      throw new CodedError("CARD_BUSY", `Cannot connect to ${this.name}: its card is in use`);
    }
    const channel = new VirtualChannel(this.name, link, this.#state.atr, () => {
      if (this.#channel === channel) this.#channel = undefined;
    });
    this.#channel = channel;
    return channel;
  }

  /** Lets the card go and stops listening. */
  async close(): Promise<void> {
    this.#listener.close();
    this.#link?.close(); // ends a command in flight; for the card it is a loss of power, harder than a reset
    await this.#channel?.close();
    await this.#serving;
  }

  /** One card after the other: the next one waits in the listener's backlog, as it does at vpcd. */
  async #serve(): Promise<void> {
    for (;;) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        // Only a closed listener ends the reader: a card that is gone before it is accepted does not.
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        this.#log.warning("virtual reader: a connection failed", { error });
        continue;
      }
      connection.setNoDelay(true);
      const link = this.#link = new CardLink(connection, this.name, this.#timeoutMs);
      try {
        await link.control(CONTROL.powerOn);
        const atr = await link.atr();
        this.#change(true, atr);
        await link.gone;
        this.#change(false, NO_ATR);
      } catch (error) {
        this.#log.warning("virtual reader: the card gave no answer to reset", { error });
        link.close();
      }
      this.#link = undefined;
    }
  }

  #change(present: boolean, atr: Uint8Array): void {
    this.#state = { present, counter: this.#state.counter + 1, atr };
    this.#changed();
  }
}

/** The exclusive connection to a virtual card. */
class VirtualChannel implements CardChannel {
  readonly #reader: string;
  readonly #link: CardLink;
  readonly #exchange = new OneInFlight();
  readonly #released: () => void;
  #atr: Uint8Array;
  #inFlight: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(reader: string, link: CardLink, atr: Uint8Array, released: () => void) {
    this.#reader = reader;
    this.#link = link;
    this.#atr = atr;
    this.#released = released;
  }

  get atr(): Uint8Array {
    return this.#atr.slice();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#run(() => {
      checkCommandLength(command, FRAME_MAX);
      return this.#link.exchange(command);
    });
  }

  reset(): Promise<void> {
    return this.#run(async () => {
      await this.#link.control(CONTROL.powerOff);
      await this.#link.control(CONTROL.powerOn);
      this.#atr = await this.#link.atr();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#inFlight.then(() => {}, () => {})
      .then(() => this.#link.control(CONTROL.reset))
      .catch(() => {}) // removed: its sessions died with it
      .finally(this.#released);
    return this.#closed;
  }

  #run<T>(exchange: () => Promise<T>): Promise<T> {
    return this.#exchange.run(() => {
      if (this.#closed) {
        throw new CodedError("CARD_CHANNEL_CLOSED", `Cannot use the card on ${this.#reader}: it was let go`);
      }
      const running = exchange();
      this.#inFlight = running;
      return running;
    });
  }
}
