/** The service's clock against the station's: signed requests and records need clocks that agree. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { SIGNATURE_AGE_SECONDS } from "shared/protocol/wire/http_signature.ts";

/** Difference from which on an operator is told, in seconds. The Date header is whole seconds, and an answer takes some. */
export const CLOCK_DIFFERENCE_SECONDS = 30;

/** Keeps the last difference. */
export class ServiceClock {
  #seconds: number | undefined;
  #told = false;

  /**
   * An answer came.
   * @param date its Date header.
   * @param now the station's clock, milliseconds since 1970.
   * @returns the warning, the first time that the clocks differ by much.
   */
  heard(date: string | undefined, now: number): string | undefined {
    const there = date === undefined ? NaN : Date.parse(date);
    if (Number.isNaN(there)) return undefined;
    this.#seconds = Math.round((now - there) / 1000);
    if (Math.abs(this.#seconds) < CLOCK_DIFFERENCE_SECONDS) {
      this.#told = false;
      return undefined;
    }
    if (this.#told) return undefined;
    this.#told = true;
    return `this station's clock is ${this.words()} the service's; from ${SIGNATURE_AGE_SECONDS} seconds on, nothing is accepted`;
  }

  /** `N seconds ahead of`, or `behind`. */
  words(): string {
    const seconds = this.#seconds ?? 0;
    return `${Math.abs(seconds)} seconds ${seconds > 0 ? "ahead of" : "behind"}`;
  }

  /** A refused signature, explained when the clocks are the reason. */
  explain(refusal: CodedError): CodedError {
    if (refusal.details["status"] !== 401 || Math.abs(this.#seconds ?? 0) < CLOCK_DIFFERENCE_SECONDS) {
      return refusal;
    }
    return new CodedError(
      "STATION_CLOCK",
      `Cannot use the attestation service: this station's clock is ${this.words()} the service's`,
      { fromService: true, refusal: refusal.code },
    );
  }
}

defineErrors({
  STATION_CLOCK: {
    fault: "configuration",
    retry: true,
    next: "Set this station's clock (time synchronization), then present the card again. It is not lost.",
  },
});
