/** `ReaderService` whose readers are TCP ports: for demonstrations and tests on machines without pcscd. */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import type { CardChannel, ReaderEvent, ReaderService } from "../card_channel.ts";
// For its error table: a type import alone would leave the codes of the port unknown.
import "../card_channel.ts";
import { changes, NOTHING, type Snapshot } from "../reader_service/changes.ts";
import { eventStream } from "../reader_service/events.ts";
import { VirtualReader } from "./reader.ts";
import "../card_channel.ts";

/** Options of `openVirtualReaders`. */
export interface VirtualReaderOptions {
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** Readers; port 0 takes any free one. */
  readonly readers: readonly { readonly name: string; readonly port: number }[];
  /** Lets `host` be another address than loopback: whoever reaches the port can pose as a card. */
  readonly allowRemote?: boolean;
  /** Longest wait for a card's answer, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
  /** Where the warning goes that this is not for production. */
  readonly logger?: Logger;
}

/** Virtual readers and the ports that their cards connect to. */
export type VirtualReaderService = ReaderService & {
  /** Ports in the order of the readers. */
  ports(): number[];
};

const TIMEOUT_MS = 60_000;
const LOOPBACK = /^(127(\.\d{1,3}){3}|::1|localhost)$/;

/**
 * Opens virtual readers. Not for production, and says so in the log at every start. Needs `--allow-net` for
 * the host and its ports.
 * @throws {CodedError} `VIRTUAL_READER_HOST`, `VIRTUAL_READER_LISTEN`.
 */
// async so that a port that is taken is a rejection, as the port's users expect
// deno-lint-ignore require-await -- a failure has to be a rejection
export async function openVirtualReaders(options: VirtualReaderOptions): Promise<VirtualReaderService> {
  const host = options.host ?? "127.0.0.1";
  if (!options.allowRemote && !LOOPBACK.test(host)) {
    throw new CodedError("VIRTUAL_READER_HOST", `Cannot open virtual readers on ${host}: it is not loopback`);
  }
  const log = options.logger ?? createLogger("virtual-readers");
  log.warning("virtual readers are NOT FOR PRODUCTION: any local program can pose as a card", {
    host,
    readers: options.readers.length,
  });
  return new VirtualReaders(host, options, log);
}

class VirtualReaders implements ReaderService {
  readonly #readers = new Map<string, VirtualReader>();
  readonly #closing = new AbortController();
  #change = Promise.withResolvers<void>();
  #closed: Promise<void> | undefined;

  constructor(host: string, options: VirtualReaderOptions, log: Logger) {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    try {
      for (const { name, port } of options.readers) {
        const changed = () => this.#announce();
        this.#readers.set(name, new VirtualReader({ name, host, port, timeoutMs, log, changed }));
      }
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  ports(): number[] {
    return [...this.#readers.values()].map((reader) => reader.port);
  }

  readers(): Promise<string[]> {
    return Promise.resolve([...this.#readers.keys()]);
  }

  watch(signal: AbortSignal): AsyncIterable<ReaderEvent> {
    return eventStream([signal, this.#closing.signal], (stop) => this.#watch(stop));
  }

  // async so that a refusal is a rejection
  // deno-lint-ignore require-await -- a failure has to be a rejection
  async connect(name: string): Promise<CardChannel> {
    if (this.#closed) {
      throw new CodedError("PCSC_UNAVAILABLE", "Cannot use the virtual readers: they were closed");
    }
    const reader = this.#readers.get(name);
    if (reader === undefined) {
      throw new CodedError("READER_UNKNOWN", `Cannot connect to ${name}: there is no such reader`);
    }
    return reader.connect();
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#closing.abort();
      await Promise.all([...this.#readers.values()].map((reader) => reader.close()));
    })();
    return this.#closed;
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<ReaderEvent, void, void> {
    signal.addEventListener("abort", () => this.#announce(), { once: true });
    let before = NOTHING;
    while (!signal.aborted) {
      const next = this.#change.promise; // taken before the look, so that no change falls in between
      const now: Snapshot = new Map([...this.#readers].map(([name, reader]) => [name, reader.state]));
      yield* changes(before, now);
      before = now;
      if (!signal.aborted) await next;
    }
  }

  #announce(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }
}

defineErrors({
  VIRTUAL_READER_HOST: {
    fault: "usage",
    retry: false,
    next: "Listen on 127.0.0.1, or say --allow-remote-cards when the network is yours alone.",
  },
  VIRTUAL_READER_LISTEN: {
    fault: "usage",
    retry: false,
    next: "Choose another port, or 0 for any free one.",
  },
});
