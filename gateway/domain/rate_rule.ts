/**
 * Rate and concurrency rules as a route has them, and the key under which a request counts. Pure: what a key is made of
 * is passed in.
 */

import { addressGroup } from "./address.ts";
import type { LimitRule } from "./limit.ts";

/**
 * What a key is made of. `identity`: the client's; `address`: IPv4 address or IPv6 /64; `route`: its name; `backup`: the keyed hash
 * of the backup identifier that a Recover request names.
 */
export const KEY_PARTS = ["identity", "address", "route", "backup"] as const;
/** One part of a key. */
export type KeyPart = typeof KEY_PARTS[number];

/**
 * What a rule says when its store cannot be asked or is full. `refuse`: fail closed; `allow`: fail open; `local`: this
 * instance counts alone, so that n instances together admit at most n times the rule.
 */
export const STORE_GONE = ["refuse", "allow", "local"] as const;
/** One of them. */
export type WhenStoreGone = typeof STORE_GONE[number];

/** A rate rule. */
export interface RateRule extends LimitRule {
  /** The parts of its key, together. */
  readonly by: readonly KeyPart[];
  /** True: decides, counts and is logged, but refuses nobody. */
  readonly dryRun: boolean;
  readonly whenStoreGone: WhenStoreGone;
}

/** A concurrency rule: requests of one key that are being answered at the same time, counted by each instance alone. */
export interface ConcurrencyRule {
  readonly name: string;
  readonly by: readonly KeyPart[];
  readonly max: number;
  readonly dryRun: boolean;
}

/** A rate rule with the key under which a request counts. */
export interface KeyedRule {
  readonly rule: RateRule;
  readonly key: string;
  /** Of the key's state in a store, when it was put together before. */
  readonly name?: string;
}

/** What keys are made of. */
export interface KeyFacts {
  readonly identity: string;
  readonly address: string;
  readonly route: string;
  /** Keyed hash of the backup identifier; undefined when the route has none. */
  readonly backup: string | undefined;
}

/** Whether a rule needs the backup identifier. */
export const countsBackups = (rule: { readonly by: readonly KeyPart[] }): boolean =>
  rule.by.includes("backup");

/** The key of a request under a rule: its parts in the rule's order, each with its length, so that no two read alike. */
export function keyOf(by: readonly KeyPart[], facts: KeyFacts): string {
  let key = "";
  for (const part of by) {
    const value = part === "address" ? addressGroup(facts.address) : facts[part] ?? "";
    key += `${key === "" ? "" : " "}${part}:${value.length}:${value}`;
  }
  return key;
}
