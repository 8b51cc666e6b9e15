/** Randomness as a port: protocol code is given it, so that recorded exchanges can be recomputed. */

/** Returns `length` fresh bytes. */
export type RandomSource = (length: number) => Uint8Array;

/** The operating system's generator. */
export const SYSTEM_RANDOM: RandomSource = (length) => crypto.getRandomValues(new Uint8Array(length));
