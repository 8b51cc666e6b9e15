/**
 * Affinity without cookies: rendezvous hashing (Thaler and Ravishankar, 1998) of something the request has anyway. Every
 * gateway finds the same order of instances without asking anybody, and when one leaves only its own sessions move.
 */

import type { StrictRequest } from "./request_rules.ts";

/** What a session is known by. */
export type AffinityRule =
  | { readonly kind: "header"; readonly name: string }
  /** The n-th segment of the path, from 1. */
  | { readonly kind: "segment"; readonly position: number };

/** The session of a request; undefined when it has none. */
export function affinityKey(
  rule: AffinityRule | undefined,
  request: Pick<StrictRequest, "path" | "headers">,
): string | undefined {
  if (rule === undefined) return undefined;
  const key = rule.kind === "header"
    ? request.headers.find(([name]) => name === rule.name)?.[1]
    : request.path.split("/")[rule.position];
  return key === "" ? undefined : key;
}

/** Indexes of the instances, the one that suits the session best first. */
export function rendezvous(key: string, instances: readonly string[]): number[] {
  const weights = instances.map((name) => weight(`${name}\0${key}`));
  return instances.map((_, i) => i).sort((a, b) => weights[b]! - weights[a]! || a - b);
}

/** FNV-1a over UTF-16 units, and the mixing of MurmurHash3: 32 bits that look independent for each instance. */
function weight(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
