/** Connections counted in all and by address (IPv6: by /64), with the deny list before either: decided at accept, before TLS. */

import { addressGroup } from "../domain/address.ts";
import type { NetworkSet } from "../domain/networks.ts";

/** Why a connection is refused at accept. */
export type AcceptRefusal = "address-denied" | "connections-full" | "address-connections-full";

/** Bounds of connections. */
export interface ConnectionBounds {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
}

/** Open connections. */
export class Connections {
  #open = 0;
  #byAddress = new Map<string, number>();

  constructor(readonly bounds: ConnectionBounds) {}

  get open(): number {
    return this.#open;
  }

  /** Counts a connection, or says why not; `release` it when it ends. */
  admit(remote: string, denied: NetworkSet): AcceptRefusal | undefined {
    if (denied.contains(remote)) return "address-denied";
    if (this.#open >= this.bounds.maxConnections) return "connections-full";
    const address = addressGroup(remote);
    const already = this.#byAddress.get(address) ?? 0;
    if (already >= this.bounds.maxConnectionsPerAddress) return "address-connections-full";
    this.#open++;
    this.#byAddress.set(address, already + 1);
    return undefined;
  }

  /** A connection that was admitted ended. */
  release(remote: string): void {
    const address = addressGroup(remote);
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    this.#open--;
    if (left > 0) this.#byAddress.set(address, left);
    else this.#byAddress.delete(address);
  }
}
