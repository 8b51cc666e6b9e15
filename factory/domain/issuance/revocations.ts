/** When the list of revoked certificates is made anew, and with which number. */

import type { PublishedList } from "../../transport/issuance_store/records.ts";

/** A list holds for a week: so long may a wallet go without fetching one. In seconds. */
export const LIST_VALID_SECONDS = 7 * 24 * 3600;
/** A list is made anew after a day, even when nothing was revoked. In seconds. */
export const LIST_RENEWED_SECONDS = 24 * 3600;

/** Outcome of `mayKeepList`. */
export type ListDecision =
  | { readonly kind: "keep" }
  | {
    readonly kind: "make";
    readonly number: number;
    readonly thisUpdate: number;
    readonly nextUpdate: number;
  };

/**
 * Whether the published list still serves. Numbers are times, so that they grow even when the database comes back from an
 * older copy; a clock that was set back still leads to the next number.
 * @param now Seconds since 1970.
 */
export function mayKeepList(
  published: Omit<PublishedList, "list"> | undefined,
  entriesSha256: string,
  now: number,
): ListDecision {
  if (
    published !== undefined && published.entriesSha256 === entriesSha256 &&
    now >= published.thisUpdate && now < published.thisUpdate + LIST_RENEWED_SECONDS
  ) return { kind: "keep" };
  return {
    kind: "make",
    number: Math.max((published?.number ?? 0) + 1, now),
    thisUpdate: now,
    nextUpdate: now + LIST_VALID_SECONDS,
  };
}
