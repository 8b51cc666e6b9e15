/** Entries of chips that may never have been there: a name that arrived garbled looks like a chip of its own. */

import type { Journal, JournalCard } from "../../transport/journal/port.ts";

/**
 * Whether an entry is about a chip that never proved itself: no authentication succeeded, so nothing was written on it and it
 * was given no serial. Nobody has to present it again. What the entry counts stays in force for a real chip of this name,
 * which takes the entry up again.
 */
export function isUnproven({ state, reservation, step, lifeCycle }: JournalCard): boolean {
  return state === "open" && reservation === null && step === null && lifeCycle === 0;
}

/** Takes the entries of such chips off the list of unfinished cards. @returns how many. */
export function forgetUnproven(journal: Journal): number {
  const unproven = journal.unfinished().filter(isUnproven);
  for (const { id } of unproven) journal.change(id, { closed: true });
  return unproven.length;
}
