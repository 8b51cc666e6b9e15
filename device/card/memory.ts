/** How much memory a card has left: packages by the size of their load files, applications by a round figure. */

import { equal } from "shared/base/bytes.ts";
import type { CardState } from "./state.ts";

/** Memory of one application, or of its saved data, in bytes: a round figure, more than the Recovery Key holds. */
export const APPLICATION_BYTES = 1024;

/** Bytes that are free; `Infinity` on a card without a limit. */
export function freeBytes(state: CardState): number {
  if (state.memoryBytes === null) return Infinity;
  const packages = state.packages.reduce((sum, { size }) => sum + size, 0);
  const saved = state.upgrade?.saved.length ?? 0;
  const { packageAid } = state.upgrade ?? {};
  const upgraded = packageAid === undefined
    ? 0
    : state.instances.filter((one) => equal(one.packageAid, packageAid)).length;
  // An application that was deleted for its upgrade keeps its place: what comes in must not take it.
  const applications = state.instances.length - upgraded + Math.max(upgraded, saved) + saved;
  return state.memoryBytes - packages - applications * APPLICATION_BYTES;
}
