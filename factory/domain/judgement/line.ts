/** What counts on the line, limits of a reader and of a station, and what a stop says. */

import { defineErrors } from "shared/base/errors.ts";
import { DEFAULT_LIMITS, type Judgement, type JudgementLimits } from "./judgement.ts";

/** Scope of a stop of the whole station; every other scope is a reader's name. */
export const STATION_SCOPE = "";

/** Limits of one reader and of all readers together. */
export interface LineLimits {
  readonly reader: JudgementLimits;
  readonly station: JudgementLimits;
}

/**
 * Where the station's configuration gives no others. A reader is stopped before the station, and the station before the
 * batch: contacts are the first suspect.
 */
export const DEFAULT_LINE_LIMITS: LineLimits = {
  reader: { scrappedInRow: 3, yieldPercent: 80, yieldAfterCards: 20, yieldWindowCards: 100 },
  station: { ...DEFAULT_LIMITS, scrappedInRow: 5 },
};

/** Refusals that speak against the line: a wrong batch, profile or key, which would refuse or lock card after card. */
const BAD_REFUSALS: ReadonlySet<string> = new Set([
  "SCP03_CARD_CRYPTOGRAM",
  "SCP03_AUTHENTICATION_FAILED",
  "SCP03_INITIALIZE_REFUSED",
  "SCP03_MALFORMED",
  "SCP03_PROTOCOL",
  "SCP03_KEY_VERSION",
  "PROFILE_CARD",
  "CARD_KEY_VERSION",
  "CARD_APPLET_MISSING",
  "CARD_TARGET",
  "CARD_DUPLICATE",
  "CARD_STATE",
  "ATTEST_CHIP_TWIN",
  "ATTEST_INSTALLED",
]);

/** How a presentation ended, as far as it is judged. */
export interface EndedCard {
  readonly outcome: "attested" | "scrapped" | "refused" | "failed";
  /** Error code. */
  readonly reason: string | null;
}

/**
 * What an end says about the line. Undefined: nothing. A card that is to be presented again has not ended, and a finished
 * card that is presented once more was refused for good reason.
 */
export function judgedOutcome({ outcome, reason }: EndedCard): "good" | "scrapped" | undefined {
  if (outcome === "attested") return "good";
  if (outcome === "scrapped") return "scrapped";
  return outcome === "refused" && reason !== null && BAD_REFUSALS.has(reason) ? "scrapped" : undefined;
}

/** Why work stopped, in words for the line; at most two things that the failures share. */
export function stopWords(
  judgement: Extract<Judgement, { kind: "stop" }>,
  shared: readonly string[],
): string {
  const what = judgement.rule === "scrapped-in-row"
    ? `${judgement.failures.length} cards in a row were scrapped or refused`
    : `only ${judgement.others.length} of the last ${
      judgement.failures.length + judgement.others.length
    } cards are good`;
  return [what, ...shared.slice(0, 2)].join("; ");
}

defineErrors({
  LINE_STOPPED: {
    fault: "service",
    retry: false,
    next:
      "Look at what the failed cards share and remove the cause. Then a person lets work go on: G and then Y on the screen, or `rk station run --go-on`.",
  },
});
