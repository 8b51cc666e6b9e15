import assert from "node:assert/strict";
import { CodedError } from "../../base/errors.ts";
import { PNP_NOTIFICATION, SCARD_STATE_PRESENT, SCARD_STATE_UNKNOWN } from "./constants.ts";
import type { KnownStates, WaitOutcome } from "./context.ts";
import { watchReaders } from "./watch.ts";

const EMPTY = 0x10;
const counted = (state: number, counter: number) => state + counter * 0x10000;
const ATR = Uint8Array.of(0x3b, 0x00);

/**
 * A service in memory, as pcsc-lite behaves: a wait returns when a state differs from the known one, and notices
 * a change of the list only if it came after the wait began.
 */
class FakeService {
  readonly states = new Map<string, number>();
  failure: string | undefined;
  established = 0;
  released = 0;
  longestWaitList = 0;
  beforeWait: (() => void) | undefined;
  #changed = Promise.withResolvers<void>();

  set(reader: string, state: number | undefined): void {
    if (state === undefined) this.states.delete(reader);
    else this.states.set(reader, state);
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  #assertAlive(): void {
    if (this.failure !== undefined) throw new CodedError(this.failure, "fake");
  }

  // deno-lint-ignore require-await -- a failure has to be a rejection
  listReaders = async () => {
    this.#assertAlive();
    return [...this.states.keys()];
  };

  // deno-lint-ignore require-await -- a failure has to be a rejection
  establish = async () => {
    this.#assertAlive();
    this.established++;
    return {
      listReaders: this.listReaders,
      waitForChange: (known: KnownStates, signal: AbortSignal) => this.#wait(known, signal),
      release: () => {
        this.released++;
        return Promise.resolve();
      },
    };
  };

  async #wait(known: KnownStates, signal: AbortSignal): Promise<WaitOutcome> {
    this.longestWaitList = Math.max(this.longestWaitList, known.size);
    this.beforeWait?.();
    const names = [...known.keys()].filter((name) => name !== PNP_NOTIFICATION);
    const count = this.states.size;
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    for (let began = true;; began = false) {
      if (signal.aborted) return { kind: "cancelled" };
      this.#assertAlive();
      if (began && names.some((name) => !this.states.has(name))) return { kind: "reader-gone" };
      const differs = names.some((name) => this.states.get(name) !== known.get(name));
      if (differs || (known.has(PNP_NOTIFICATION) && this.states.size !== count)) break;
      await Promise.race([this.#changed.promise, aborted]);
    }
    const states = new Map(names.map((name) => {
      const eventState = this.states.get(name) ?? SCARD_STATE_UNKNOWN;
      return [name, { eventState, changed: true, atr: ATR }];
    }));
    if (known.has(PNP_NOTIFICATION)) {
      states.set(PNP_NOTIFICATION, { eventState: 0, changed: false, atr: new Uint8Array(0) });
    }
    return { kind: "changed", states };
  }
}

async function watching(run: (service: FakeService, next: () => Promise<string>) => Promise<void>) {
  const service = new FakeService();
  const stop = new AbortController();
  const events = watchReaders(service, stop.signal);
  const next = async () => {
    const { value } = await events.next();
    return value === undefined ? "end" : `${value.kind}${"reader" in value ? ` ${value.reader}` : ""}`;
  };
  await run(service, next);
  const last = next();
  stop.abort();
  service.wake();
  assert.equal(await last, "end");
  assert.equal(service.released, service.established);
}

Deno.test("watchReaders() follows readers that are plugged in and out, with and without a card", () =>
  watching(async (service, next) => {
    const first = next();
    service.set("A", EMPTY);
    assert.equal(await first, "reader-added A");
    const second = next();
    service.set("B", counted(SCARD_STATE_PRESENT, 1));
    assert.equal(await second, "reader-added B");
    assert.equal(await next(), "card-inserted B");
    const third = next();
    service.set("B", undefined);
    assert.equal(await third, "card-removed B");
    assert.equal(await next(), "reader-removed B");
    const fourth = next();
    service.set("A", counted(SCARD_STATE_PRESENT, 1));
    assert.equal(await fourth, "card-inserted A");
  }));

Deno.test("watchReaders() sees a card that was swapped while nobody looked", () =>
  watching(async (service, next) => {
    service.set("A", counted(SCARD_STATE_PRESENT, 1));
    assert.equal(await next(), "reader-added A");
    assert.equal(await next(), "card-inserted A");
    service.set("A", counted(SCARD_STATE_PRESENT, 3));
    assert.equal(await next(), "card-removed A");
    assert.equal(await next(), "card-inserted A");
  }));

Deno.test("watchReaders() finds a reader that came between the listing and the wait", () =>
  watching(async (service, next) => {
    service.set("A", EMPTY);
    assert.equal(await next(), "reader-added A");
    service.beforeWait = () => {
      service.states.set("B", EMPTY); // without a wake-up: the wait begins with two readers and never learns
      service.beforeWait = undefined;
    };
    assert.equal(await next(), "reader-added B");
  }));

Deno.test("watchReaders() asks for 16 entries at most, the notification included", () =>
  watching(async (service, next) => {
    for (let i = 0; i < 16; i++) service.states.set(`R${i}`, EMPTY);
    for (let i = 0; i < 16; i++) assert.equal(await next(), `reader-added R${i}`);
    const gone = next();
    service.set("R7", undefined);
    assert.equal(await gone, "reader-removed R7");
    assert.equal(service.longestWaitList, 16);
  }));

Deno.test("watchReaders() voids everything when the service is lost and begins anew when it is back", () =>
  watching(async (service, next) => {
    service.set("A", counted(SCARD_STATE_PRESENT, 1));
    assert.equal(await next(), "reader-added A");
    assert.equal(await next(), "card-inserted A");
    const lost = next();
    service.failure = "PCSC_UNAVAILABLE";
    service.wake();
    assert.equal(await lost, "service-lost");
    const restored = next();
    service.states.set("A", EMPTY);
    service.failure = undefined;
    assert.equal(await restored, "service-restored");
    assert.equal(await next(), "reader-added A");
  }));

Deno.test("watchReaders() throws what waiting does not mend", async () => {
  const service = new FakeService();
  service.failure = "PCSC_FAILED";
  await assert.rejects(watchReaders(service, new AbortController().signal).next(), { code: "PCSC_FAILED" });
  service.failure = "PCSC_REFUSED"; // believed when it goes on
  const events = watchReaders(service, new AbortController().signal);
  assert.equal((await events.next()).value?.kind, "service-lost");
  await assert.rejects(events.next(), { code: "PCSC_REFUSED" });
});
