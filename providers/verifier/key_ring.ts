/**
 * Which keys a verifier signs with, and which it publishes: pure functions over a list. A key is published before its turn and
 * after it, so that whoever fetched the set a while ago still finds the key of a result.
 */

import type { JWK } from "jose";

/** A signing key. */
export interface RingKey {
  readonly kid: string;
  /** Private P-256 key. */
  readonly key: JWK;
  /** Seconds since 1970 from which it signs, until the next one does. */
  readonly startsAt: number;
}

/** Times of a ring, in seconds. */
export interface RingPolicy {
  /** How long a key signs. */
  readonly rotateSeconds: number;
  /** How long it is published before it signs: longer than anybody keeps an old set. */
  readonly announceSeconds: number;
  /** How long it is published after it signed: longer than a result holds. */
  readonly overlapSeconds: number;
}

/** The key whose turn it is; undefined before the first. @param keys by `startsAt`, oldest first. */
export function signingKey(keys: readonly RingKey[], now: number): RingKey | undefined {
  return keys.findLast(({ startsAt }) => startsAt <= now);
}

/** Keys that stand in the set: those that have signed lately, the one that signs, and the next. */
export function publishedKeys(keys: readonly RingKey[], policy: RingPolicy, now: number): RingKey[] {
  return keys.filter((_, i) => {
    const next = keys[i + 1];
    return next === undefined || now < next.startsAt + policy.overlapSeconds;
  });
}

/** When a key that is to be made now begins to sign; undefined while none is to be made. */
export function nextTurn(keys: readonly RingKey[], policy: RingPolicy, now: number): number | undefined {
  const last = keys.at(-1);
  if (last === undefined) return now;
  const { rotateSeconds, announceSeconds } = policy;
  const turn = last.startsAt + rotateSeconds;
  // One that comes late, because nobody ran the verifier, is announced all the same.
  return now < turn - announceSeconds ? undefined : Math.max(turn, now + announceSeconds);
}
