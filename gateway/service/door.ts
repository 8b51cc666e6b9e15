/**
 * Who may connect: decided at accept, before TLS costs anything. Deny list, bans, handshake limits, caps; in this order, so that who is
 * refused anyway does not count against others.
 */

import type { Clock } from "shared/transport/clock.ts";
import { addressGroup } from "../domain/address.ts";
import type { LimitRule } from "../domain/limit.ts";
import type { NetworkSet } from "../domain/networks.ts";
import type { Bans } from "./bans.ts";
import { type AcceptRefusal, type ConnectionBounds, Connections } from "./connections.ts";
import { LimitStore } from "./limit_store.ts";

/** Handshake limits; an absent one does not limit. */
export interface HandshakeRules {
  readonly perAddress?: LimitRule | undefined;
  readonly failedPerAddress?: LimitRule | undefined;
  readonly total?: LimitRule | undefined;
}

/** Why a connection is refused at accept. */
export type DoorRefusal =
  | AcceptRefusal
  | "address-banned"
  | "handshakes-failed"
  | "handshakes-limited"
  | "handshakes-full";

/** The door of one gateway. */
export class Door {
  readonly #connections: Connections;
  readonly #store: LimitStore;
  readonly #rules: HandshakeRules;

  constructor(bounds: ConnectionBounds, rules: HandshakeRules, readonly bans: Bans, clock: Clock) {
    this.#connections = new Connections(bounds);
    this.#store = new LimitStore(clock);
    this.#rules = rules;
  }

  get open(): number {
    return this.#connections.open;
  }

  /** Counts a connection, or says why not; `release` it when it ends. */
  admit(remote: string, denied: NetworkSet): DoorRefusal | undefined {
    if (denied.contains(remote)) return "address-denied";
    if (this.bans.refuses(remote)) return "address-banned";
    const { perAddress, failedPerAddress, total } = this.#rules;
    const key = addressGroup(remote);
    if (failedPerAddress !== undefined && !this.#store.wouldAllow(failedPerAddress, key)) {
      return "handshakes-failed";
    }
    if (!this.#take(perAddress, key)) {
      this.bans.offence(remote, "flood");
      return "handshakes-limited";
    }
    const refusal = this.#connections.admit(remote, denied);
    if (refusal === "address-connections-full") this.bans.offence(remote, "flood");
    if (refusal !== undefined) return refusal;
    if (this.#take(total, "all")) return undefined;
    this.#connections.release(remote);
    return "handshakes-full";
  }

  /** As `admit`, by deny list and caps alone. */
  admitAnyway(remote: string, denied: NetworkSet): DoorRefusal | undefined {
    return this.#connections.admit(remote, denied);
  }

  /** A connection that was admitted ended. */
  release(remote: string): void {
    this.#connections.release(remote);
  }

  /** A handshake failed, or its certificate was refused. */
  handshakeFailed(remote: string): void {
    this.#take(this.#rules.failedPerAddress, addressGroup(remote));
    this.bans.offence(remote, "handshake");
  }

  #take(rule: LimitRule | undefined, key: string): boolean {
    // When the memory is full, those of whom nothing is remembered come in: the caps hold all the same.
    return rule === undefined || (this.#store.takeOne(rule, key)?.allowed ?? true);
  }
}
