/** What an update does next with the card on the reader: a table over what the card shows and what the journal remembers. Pure. */

/** How the card shows itself: its applet answers, or it has none that can be selected. */
export type CardLook = "ready" | "silent";

/** What the journal knows of this card: nothing; an update that it may still be before, or behind; one that it is in. */
export type Remembered = "nothing" | "before" | "behind";

/**
 * - `begin`: the card proves itself, the PIN is asked, and a new upgrade begins;
 * - `prove`: the upgrade is done: what the card held is compared with what is remembered;
 * - `resume`: the upgrade goes on without the applet, by the service's word.
 */
export type UpdateAction = "begin" | "prove" | "resume";

/** Look x remembered. */
export const UPDATE_PLAN: Readonly<Record<CardLook, Readonly<Record<Remembered, UpdateAction>>>> = {
  ready: { nothing: "begin", before: "begin", behind: "prove" },
  // Whatever is remembered: only the card and the service know how far it came.
  silent: { nothing: "resume", before: "resume", behind: "resume" },
};

/** Compares a card that answers with its entry. @param version on the card. @param to version of the entry's release. */
export function rememberedOf(
  version: string | undefined,
  entry: { readonly from: string; readonly to: string } | undefined,
  isSame: (a: string, b: string) => boolean,
): Remembered {
  if (entry === undefined) return "nothing";
  return version !== undefined && isSame(version, entry.to) ? "behind" : "before";
}
