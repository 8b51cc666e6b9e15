/**
 * The verifier's signed key set, fetched from its address. The node cannot exchange what is inside (the vault checks the root's
 * signature and the set's own end), so what it keeps is only how old and how large a set may be, and how often it asks.
 */

import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { Clock } from "shared/transport/clock.ts";

/** Longest set, in bytes: what the vault's border takes. */
export const KEY_SET_MAX = 65_536;
/** Longest wait for an answer, in milliseconds. */
const FETCH_MS = 5_000;
/** After an attempt that failed, the next one waits this long, in milliseconds. */
const RETRY_MS = 5_000;

defineErrors({
  PROVIDER_KEY_SET: {
    fault: "service",
    retry: true,
    next: "The identity verifier's key set cannot be fetched: look at keySet.url, and at the verifier.",
  },
});

/** Where and how often. */
export interface KeySetSourceOptions {
  readonly url: string;
  /** PEM of the authority of the verifier's server; without it the system's. */
  readonly authority?: string;
  /** How long a set is used before it is asked for again, in seconds. */
  readonly refreshSeconds: number;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
}

/** A set that is kept fresh. */
export class KeySetSource implements Disposable {
  readonly #options: KeySetSourceOptions;
  readonly #client: Deno.HttpClient | undefined;
  #set: string | null = null;
  /** Monotonic milliseconds before which nobody asks. */
  #notBefore = -Infinity;
  #asking: Promise<void> | undefined;

  constructor(options: KeySetSourceOptions) {
    this.#options = options;
    this.#client = options.authority === undefined
      ? undefined
      : Deno.createHttpClient({ caCerts: [options.authority] });
  }

  /** The newest set that is known; null before there is one. An old one serves while no newer comes: the vault knows its end. */
  async current(): Promise<string | null> {
    if (this.#asking === undefined && this.#options.clock.monotonic() >= this.#notBefore) {
      this.#asking = this.#ask().finally(() => this.#asking = undefined);
    }
    // Who has a set does not wait for the next one.
    if (this.#set === null) await this.#asking;
    return this.#set;
  }

  async #ask(): Promise<void> {
    const { refreshSeconds, clock, log } = this.#options;
    try {
      this.#set = await this.#fetch();
      this.#notBefore = clock.monotonic() + refreshSeconds * 1000;
    } catch (error) {
      this.#notBefore = clock.monotonic() + RETRY_MS;
      log.warning("key-set.not-fetched", { code: codeOf(error) });
    }
  }

  async #fetch(): Promise<string> {
    const { url } = this.#options;
    const fault = (why: string, error?: unknown) =>
      new CodedError("PROVIDER_KEY_SET", `Cannot fetch key set: ${why}`, {}, error);
    const response = await fetch(url, {
      redirect: "error",
      signal: AbortSignal.timeout(FETCH_MS),
      headers: { accept: "application/jwk-set+jwt" },
      ...(this.#client ? { client: this.#client } : {}),
    }).catch((error) => {
      throw fault("no answer", error);
    });
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw fault(`status ${response.status}`);
      }
      for await (const chunk of response.body) {
        // Leaving the loop cancels the rest.
        if ((length += chunk.length) > KEY_SET_MAX) throw fault(`more than ${KEY_SET_MAX} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw error instanceof CodedError ? error : fault("the answer broke off", error);
    }
    return (await new Blob(chunks as Uint8Array<ArrayBuffer>[]).text()).trim();
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }
}
