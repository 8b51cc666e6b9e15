/** Events of a `ReaderService.watch`, collected, so that a test can wait for one. */

import type { ReaderEvent, ReaderService } from "shared/transport/card_channel.ts";

const WAIT_MS = 30_000;

/** Watches from its making until it is disposed of. */
export class EventLog implements AsyncDisposable {
  readonly events: ReaderEvent[] = [];
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #grown = Promise.withResolvers<void>();

  constructor(service: ReaderService) {
    this.#ended = this.#collect(service);
    this.#ended.catch(() => {}); // thrown again by `dispose`
  }

  /** Waits for an event of a kind, at a reader if given, at or after an index; returns the index behind it. */
  async until(kind: ReaderEvent["kind"], reader?: string, from = 0): Promise<number> {
    const matches = (event: ReaderEvent) =>
      event.kind === kind && (reader === undefined || ("reader" in event && event.reader === reader));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, WAIT_MS)).then(() =>
      "late" as const
    );
    try {
      for (;;) {
        const index = this.events.findIndex((event, i) => i >= from && matches(event));
        if (index >= 0) return index + 1;
        if (
          await Promise.race([this.#grown.promise, this.#ended.then(() => "late" as const), late]) === "late"
        ) {
          throw new Error(`no ${kind} ${reader ?? ""} among: ${JSON.stringify(this.events.slice(from))}`);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kinds of the events at one reader. */
  at(reader: string): string[] {
    return this.events.filter((event) => "reader" in event && event.reader === reader).map(({ kind }) =>
      kind
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #collect(service: ReaderService): Promise<void> {
    for await (const event of service.watch(this.#stop.signal)) {
      this.events.push(event);
      this.#grown.resolve();
      this.#grown = Promise.withResolvers<void>();
    }
  }
}
