/** `ReaderService` over pcscd. */

import { CodedError } from "../../base/errors.ts";
import type { CardChannel, ReaderEvent, ReaderService } from "../card_channel.ts";
import { eventStream, pause } from "../reader_service/events.ts";
import { PcscChannel } from "./channel.ts";
import { PcscContext } from "./context.ts";
import { PcscLibrary } from "./library.ts";
import { watchReaders } from "./watch.ts";
import "../card_channel.ts";

/** Options of `openPcsc`. */
export interface PcscOptions {
  /** Path of libpcsclite.so.1; default: the first of `libraryCandidates()` that may be opened. */
  readonly library?: string;
  /** Longest wait for a card's answer, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 60_000;
/** How long `close` waits for calls that hang in a driver. */
const CLOSE_WAITS_MS = 2_000;

/**
 * Opens the readers of pcscd. Needs `--allow-ffi` for the library's path and nothing else; the C library reads
 * the environment variable PCSCLITE_CSOCK_NAME (socket of another pcscd) itself, once, at the first call of the
 * process. A service that does not run is no error here: `watch` reports it and waits for it.
 * @throws {CodedError} `PCSC_LIBRARY`.
 */
// async so that a missing library is a rejection, as the port's users expect
// deno-lint-ignore require-await -- a failure has to be a rejection
export async function openPcsc(options: PcscOptions = {}): Promise<ReaderService> {
  return new PcscService(PcscLibrary.open(options.library), options.timeoutMs ?? TIMEOUT_MS);
}

class PcscService implements ReaderService {
  readonly #library: PcscLibrary;
  readonly #timeoutMs: number;
  readonly #closing = new AbortController();
  readonly #contexts = new Set<PcscContext>();
  readonly #channels = new Set<PcscChannel>();
  readonly #connecting = new Set<Promise<unknown>>();
  #listing: Promise<string[]> | undefined;
  #closed: Promise<void> | undefined;

  constructor(library: PcscLibrary, timeoutMs: number) {
    this.#library = library;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws {CodedError} `PCSC_UNAVAILABLE`. */
  readers(): Promise<string[]> {
    // One listing serves all who ask meanwhile: contexts are few on the side of pcscd.
    this.#listing ??= this.#list().finally(() => this.#listing = undefined);
    return this.#listing;
  }

  watch(signal: AbortSignal): AsyncIterable<ReaderEvent> {
    const ports = { establish: () => this.#establish(), listReaders: () => this.readers() };
    return eventStream([signal, this.#closing.signal], (stop) => watchReaders(ports, stop));
  }

  async connect(reader: string): Promise<CardChannel> {
    this.#assertOpen();
    const connecting = PcscChannel.connect(this.#library, reader, {
      timeoutMs: this.#timeoutMs,
      onClosed: (channel) => this.#channels.delete(channel),
    }).then((channel) => this.#channels.add(channel) && channel);
    this.#connecting.add(connecting);
    return await connecting.finally(() => this.#connecting.delete(connecting));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    const waited = new AbortController();
    await Promise.race([this.#release(), pause(CLOSE_WAITS_MS, waited.signal)]);
    waited.abort();
  }

  async #release(): Promise<void> {
    await Promise.allSettled([...this.#connecting, this.#listing]);
    await Promise.all([...this.#channels].map((channel) => channel.close()));
    await Promise.all([...this.#contexts].map((context) => context.release()));
    await this.#library.close();
  }

  async #list(): Promise<string[]> {
    const context = await this.#establish();
    try {
      return await context.listReaders();
    } finally {
      await context.release();
    }
  }

  async #establish(): Promise<PcscContext> {
    this.#assertOpen();
    const context = await PcscContext.establish(this.#library);
    this.#contexts.add(context);
    context.released.then(() => this.#contexts.delete(context));
    return context;
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) {
      throw new CodedError("PCSC_UNAVAILABLE", "Cannot use PC/SC: it was closed");
    }
  }
}
