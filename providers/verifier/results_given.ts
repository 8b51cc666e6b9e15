/** One result for each nonce: the same form again gets the same result, another form none. */

import { sha256 } from "@noble/hashes/sha2.js";
import { equal, toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { SealedResult, VerificationForm } from "./result.ts";

/** Results that are remembered; above it none is made until old ones have expired. */
export const RESULTS_MAX = 10_000;

defineErrors({
  VERIFIER_USED: {
    fault: "peer",
    retry: false,
    http: 409,
    next:
      "This number has its result, made of other answers: start again in the wallet, which gives another one.",
  },
  VERIFIER_FULL: { fault: "service", retry: true, http: 503, next: "Wait a few minutes, then try again." },
});

interface Given {
  readonly form: Uint8Array;
  readonly result: Promise<SealedResult>;
  readonly untilSeconds: number;
}

/** What was given. It is in memory: a verifier that restarts forgets it, and the vault still takes each nonce and result once. */
export class ResultsGiven {
  readonly #given = new Map<string, Given>();
  readonly #lifeSeconds: number;

  /** @param lifeSeconds how long a result holds. */
  constructor(lifeSeconds: number) {
    this.#lifeSeconds = lifeSeconds;
  }

  /** The result of a form: made, or the one that was made. @throws {CodedError} `VERIFIER_USED`, `VERIFIER_FULL`. */
  async once(form: VerificationForm, now: number, make: () => Promise<SealedResult>): Promise<SealedResult> {
    for (const [nonce, { untilSeconds }] of this.#given) {
      // In the order in which they came, so in that in which they end.
      if (untilSeconds >= now) break;
      this.#given.delete(nonce);
    }
    const digest = sha256(toUtf8(JSON.stringify(form)));
    const known = this.#given.get(form.nonce);
    if (known !== undefined) {
      if (equal(known.form, digest)) return await known.result;
      throw new CodedError("VERIFIER_USED", "Cannot make result: this nonce has one, of other answers");
    }
    if (this.#given.size >= RESULTS_MAX) {
      throw new CodedError("VERIFIER_FULL", "Cannot make result: too many are remembered");
    }
    const result = make();
    this.#given.set(form.nonce, { form: digest, result, untilSeconds: now + this.#lifeSeconds });
    try {
      return await result;
    } catch (error) {
      this.#given.delete(form.nonce);
      throw error;
    }
  }
}
