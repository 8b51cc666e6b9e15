/** The body of an answer that is too long to be held: passed on as fast as it is taken, and no faster. */

import type { UpstreamConnection } from "./connection.ts";

/** Where a body goes: an answer on its way to a client. */
export interface BodyTarget {
  readonly destroyed: boolean;
  /** False: wait for `drain`. */
  write(part: Uint8Array): boolean;
  /** `close` comes once. */
  on(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}

/** What became of passing a body on. */
export type BodyOutcome =
  | { readonly kind: "whole" }
  /** The instance broke off, was too late, or sent more than `maxBytes`. */
  | { readonly kind: "lost"; readonly code: string }
  /** Nobody takes it any more. */
  | { readonly kind: "client-gone" };

/** Code of an answer that is longer than its route allows. */
export const ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE";
/** Code of a request that was given up: its deadline passed, or the client is gone. */
export const ABORTED_CODE = "ABORTED";

/** A streaming body. Until someone takes it the connection is not read. */
export class UpstreamBody {
  #target: BodyTarget | undefined;
  #waiting: Uint8Array[] = [];
  #outcome: BodyOutcome | undefined;
  #done: (outcome: BodyOutcome) => void = () => {};
  #bytes = 0;
  #maxBytes = Infinity;
  /** The client does not take more for now. */
  #isHeld = false;

  constructor(readonly connection: UpstreamConnection) {
    connection.pause();
  }

  /** Bytes that came so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A part came. */
  data(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes > this.#maxBytes) return this.connection.cut(ANSWER_TOO_LARGE);
    if (this.#target === undefined) return void this.#waiting.push(bytes);
    if (this.#target.write(bytes)) return;
    this.#isHeld = true;
    this.connection.pause();
  }

  /** The body is whole. */
  end(): void {
    this.#settle({ kind: "whole" });
  }

  /** It is not, and nothing more comes. */
  lost(code: string): void {
    // Late because of a client that reads slowly: that must not count against the instance.
    const isSlowClient = this.#isHeld && code === ABORTED_CODE;
    this.#settle(isSlowClient ? { kind: "client-gone" } : { kind: "lost", code });
  }

  #settle(outcome: BodyOutcome): void {
    this.#outcome ??= outcome;
    this.#done(this.#outcome);
  }

  /** Passes the body on; `target` is neither ended nor destroyed. */
  pass(target: BodyTarget, maxBytes: number): Promise<BodyOutcome> {
    this.#maxBytes = maxBytes;
    return new Promise((resolve) => {
      const drained = () => {
        this.#isHeld = false;
        this.connection.resume();
      };
      const gone = () => {
        this.#settle({ kind: "client-gone" });
        this.connection.cut("CLIENT_GONE");
      };
      this.#done = (outcome) => {
        target.off("drain", drained);
        target.off("close", gone);
        resolve(outcome);
      };
      target.on("drain", drained);
      target.on("close", gone);
      this.#target = target;
      for (const part of this.#waiting.splice(0)) target.write(part);
      if (this.#bytes > maxBytes) this.connection.cut(ANSWER_TOO_LARGE);
      if (this.#outcome !== undefined) return this.#done(this.#outcome);
      if (target.destroyed) return gone();
      this.connection.resume();
    });
  }

  /** Nobody wants it: the connection ends with it. */
  cancel(): void {
    this.connection.cut("UNWANTED");
  }
}
