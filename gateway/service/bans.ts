/** Bans of one gateway: states by address (IPv6: by /64), bounded. */

import type { Clock } from "shared/transport/clock.ts";
import { addressGroup } from "../domain/address.ts";
import {
  afterOffence,
  type BanRule,
  type BanState,
  isBanned,
  isForgiven,
  type Offence,
} from "../domain/bans.ts";
import type { NetworkSet } from "../domain/networks.ts";

/** Most addresses that are remembered; the one that behaved longest is forgotten first. */
export const MAX_BAN_STATES = 50_000;

/** What the keeper of bans is set up with. */
export interface BanSettings {
  readonly rule: BanRule;
  /** Never banned. */
  readonly never: NetworkSet;
  /** True: decides and tells, but refuses nobody. */
  readonly dryRun: boolean;
}

/** The keeper of bans. Without settings nobody is banned. */
export class Bans {
  #states = new Map<string, BanState>();

  constructor(
    readonly settings: BanSettings | undefined,
    readonly clock: Clock,
    /** Told of each new ban. */
    readonly told: (address: string, seconds: number, offence: Offence, dryRun: boolean) => void,
    readonly maxStates = MAX_BAN_STATES,
  ) {}

  get size(): number {
    return this.#states.size;
  }

  /** Whether an address is to be refused now. */
  refuses(address: string): boolean {
    if (this.settings === undefined || this.settings.dryRun || this.#states.size === 0) return false;
    return isBanned(this.#states.get(addressGroup(address)), this.clock.monotonic());
  }

  /** An address did something. */
  offence(address: string, offence: Offence): void {
    const { settings } = this;
    if (settings === undefined || settings.never.contains(address)) return;
    const now = this.clock.monotonic();
    const group = addressGroup(address);
    const before = this.#states.get(group);
    const after = afterOffence(settings.rule, before, offence, now);
    this.#states.delete(group); // so that the map's order is that of the last offences
    if (!isForgiven(settings.rule, after, now)) this.#states.set(group, after);
    if (this.#states.size > this.maxStates) this.#states.delete(this.#states.keys().next().value!);
    if (isBanned(after, now) && !isBanned(before, now)) {
      this.told(group, Math.round((after.until - now) / 1000), offence, settings.dryRun);
    }
  }
}
