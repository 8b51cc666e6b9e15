/**
 * One PC/SC context, one connection to pcscd. Calls on a context run one after the other: libpcsclite holds a
 * lock of the whole process while it waits for a context that is in use, so a second call on a busy context
 * would stop every other card too. The only call that may come in between is SCardCancel.
 */

import { CodedError } from "../../base/errors.ts";
import {
  INFINITE,
  RESULT,
  SCARD_SCOPE_SYSTEM,
  SCARD_STATE_PRESENT,
  SCARD_STATE_UNAVAILABLE,
  SCARD_STATE_UNAWARE,
  SCARD_STATE_UNKNOWN,
} from "./constants.ts";
import type { PcscLibrary } from "./library.ts";
import { decodeReaderStates, encodeReaderStates, type StateAnswer } from "./reader_states.ts";
import { isServiceGone, resultError } from "./results.ts";
import "../card_channel.ts";

/** Readers and the state in which they are known. */
export type KnownStates = ReadonlyMap<string, number>;

/** How a wait for changes ended. */
export type WaitOutcome =
  | { readonly kind: "changed"; readonly states: ReadonlyMap<string, StateAnswer> }
  | { readonly kind: "cancelled" }
  | { readonly kind: "timeout" }
  | { readonly kind: "reader-gone" };

/** Where a card is after a command that failed. */
export type CardPlace = "there" | "gone" | "service-gone";

/** SCardCancel is lost unless the wait has begun on its thread, so it is repeated until the wait ends. */
const CANCEL_REPEAT_MS = 20;
/** pcscd looks for a card every 400 ms, and a driver may need two looks to notice that it left. */
const PRESENCE_SETTLES_MS = 1_500;
const READERS_BUFFER = 4_096;

/** A context with its queue. */
export class PcscContext {
  readonly #library: PcscLibrary;
  readonly #handle: bigint;
  readonly #names = new Map<string, bigint>();
  #tail: Promise<unknown> = Promise.resolve();
  #releasing: Promise<void> | undefined;
  readonly #over = Promise.withResolvers<void>();

  private constructor(library: PcscLibrary, handle: bigint) {
    this.#library = library;
    this.#handle = handle;
  }

  /** Connects to pcscd. @throws {CodedError} `PCSC_UNAVAILABLE`, `PCSC_REFUSED`. */
  static async establish(library: PcscLibrary): Promise<PcscContext> {
    const handle = new BigInt64Array(1);
    const result = await library.call(
      (symbols) => symbols.SCardEstablishContext(BigInt(SCARD_SCOPE_SYSTEM), null, null, handle),
      [handle],
    );
    if (result !== RESULT.SCARD_S_SUCCESS) {
      throw resultError("establishing", "reach the PC/SC service", result);
    }
    return new PcscContext(library, handle[0]!);
  }

  /** Runs a call of this context when those before it are done. */
  call(
    run: (
      symbols: Parameters<Parameters<PcscLibrary["call"]>[0]>[0],
      context: bigint,
    ) => Promise<bigint | number>,
    kept: readonly ArrayBufferView[] = [],
  ): Promise<number> {
    return this.#queue(() => this.#library.call((symbols) => run(symbols, this.#handle), kept));
  }

  /** Names of the readers. @throws {CodedError} `PCSC_UNAVAILABLE`. */
  async listReaders(): Promise<string[]> {
    // A reader that is plugged in between may not fit: the library then says how much is needed.
    for (let room = READERS_BUFFER; room <= 16 * READERS_BUFFER; room *= 2) {
      const names = new Uint8Array(room);
      const length = new BigUint64Array([BigInt(room)]);
      const result = await this.call(
        (symbols, context) => symbols.SCardListReaders(context, null, names, length),
        [names, length],
      );
      if (result === RESULT.SCARD_E_NO_READERS_AVAILABLE) return [];
      if (result === RESULT.SCARD_E_INSUFFICIENT_BUFFER) continue;
      if (result !== RESULT.SCARD_S_SUCCESS) throw resultError("any", "list the readers", result);
      return new TextDecoder().decode(names.subarray(0, Number(length[0]))).split("\0").filter(Boolean);
    }
    throw resultError("any", "list the readers", RESULT.SCARD_E_INSUFFICIENT_BUFFER);
  }

  /**
   * Waits until a reader's state is another than the known one, until the signal aborts, or for `timeoutMs`.
   * @throws {CodedError} `PCSC_UNAVAILABLE`, `PCSC_FAILED`.
   */
  async waitForChange(known: KnownStates, signal?: AbortSignal, timeoutMs = INFINITE): Promise<WaitOutcome> {
    if (signal?.aborted) return { kind: "cancelled" };
    const readers = [...known.keys()];
    const states = encodeReaderStates(readers.map((reader) => ({
      nameAddress: this.#address(reader),
      currentState: known.get(reader) ?? SCARD_STATE_UNAWARE,
    })));
    const wait = this.call(
      (symbols, context) =>
        symbols.SCardGetStatusChange(context, BigInt(timeoutMs), states, BigInt(readers.length)),
      [states],
    );
    let cancelling: Promise<void> | undefined;
    const cancel = () => {
      cancelling = this.#cancel(wait);
    };
    signal?.addEventListener("abort", cancel);
    const result = await wait.finally(() => signal?.removeEventListener("abort", cancel));
    await cancelling; // a late SCardCancel must not meet the next wait of this context
    switch (result) {
      case RESULT.SCARD_S_SUCCESS: {
        const answers = decodeReaderStates(states);
        return { kind: "changed", states: new Map(readers.map((reader, i) => [reader, answers[i]!])) };
      }
      case RESULT.SCARD_E_CANCELLED:
        return { kind: "cancelled" };
      case RESULT.SCARD_E_TIMEOUT:
        return { kind: "timeout" };
      case RESULT.SCARD_E_UNKNOWN_READER:
      case RESULT.SCARD_E_READER_UNAVAILABLE:
        return { kind: "reader-gone" };
      default:
        throw resultError("any", "wait for readers and cards", result);
    }
  }

  /**
   * After a failed command: whether its card was pulled. A driver notices at once, pcscd only at its next look,
   * so this waits for that look (at most 1.5 s) before it says that the card is there.
   */
  async locateCard(reader: string): Promise<CardPlace> {
    const absent = (state: number) =>
      (state & (SCARD_STATE_UNKNOWN | SCARD_STATE_UNAVAILABLE)) !== 0 || (state & SCARD_STATE_PRESENT) === 0;
    const deadline = performance.now() + PRESENCE_SETTLES_MS;
    let known: KnownStates = new Map([[reader, SCARD_STATE_UNAWARE]]);
    try {
      for (;;) {
        const left = Math.max(0, Math.round(deadline - performance.now()));
        const outcome = await this.waitForChange(known, undefined, left);
        if (outcome.kind === "reader-gone") return "gone";
        if (outcome.kind !== "changed") return "there";
        const state = outcome.states.get(reader)!.eventState;
        if (absent(state)) return "gone";
        known = new Map([[reader, state]]);
      }
    } catch (error) {
      if (error instanceof CodedError && error.code === "PCSC_UNAVAILABLE") return "service-gone";
      throw error;
    }
  }

  /** Resolves when the context has been released. */
  get released(): Promise<void> {
    return this.#over.promise;
  }

  /** Gives the context back, after the calls that are queued. Safe to call twice; never throws. */
  release(): Promise<void> {
    this.#releasing ??= this.#queue(() =>
      this.#library.call((symbols) => symbols.SCardReleaseContext(this.#handle))
    ).then(() => {}, () => {}).finally(() => {
      for (const address of this.#names.values()) this.#library.release(address);
      this.#names.clear();
      this.#over.resolve();
    });
    return this.#releasing;
  }

  #queue<T>(run: () => Promise<T>): Promise<T> {
    if (this.#releasing) {
      return Promise.reject(
        new CodedError("PCSC_UNAVAILABLE", "Cannot call PC/SC: the context was released"),
      );
    }
    const result = this.#tail.then(run);
    this.#tail = result.catch(() => {});
    return result;
  }

  #address(reader: string): bigint {
    let address = this.#names.get(reader);
    if (address === undefined) {
      address = this.#library.duplicate(reader);
      this.#names.set(reader, address);
    }
    return address;
  }

  async #cancel(wait: Promise<number>): Promise<void> {
    let over = false;
    const ended = wait.then(() => {}, () => {}).then(() => {
      over = true;
    });
    while (!over) {
      const result = await this.#library.call((symbols) => symbols.SCardCancel(this.#handle)).catch(() => -1);
      // Without its service the wait ends by itself, and a closed library has no waits.
      if (result === -1 || isServiceGone(result)) return;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([ended, new Promise((resolve) => timer = setTimeout(resolve, CANCEL_REPEAT_MS))]);
      clearTimeout(timer);
    }
  }
}
