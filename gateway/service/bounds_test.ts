/** The two stores that hostile clients could fill: connections by address and limit states by key. */

import assert from "node:assert/strict";
import { compileNetworks } from "../domain/networks.ts";
import { Connections } from "./connections.ts";
import { LimitStore } from "./limit_store.ts";

Deno.test("Connections.admit() counts in all and by address, in one notation", () => {
  const connections = new Connections({ maxConnections: 3, maxConnectionsPerAddress: 2 });
  const denied = compileNetworks(["10.9.0.0/16"]);
  assert.equal(connections.admit("10.9.1.1", denied), "address-denied");
  assert.equal(connections.admit("10.0.0.1", denied), undefined);
  assert.equal(connections.admit("::ffff:10.0.0.1", denied), undefined);
  assert.equal(connections.admit("10.0.0.1", denied), "address-connections-full");
  assert.equal(connections.admit("10.0.0.2", denied), undefined);
  assert.equal(connections.admit("10.0.0.3", denied), "connections-full");
  connections.release("10.0.0.1");
  assert.equal(connections.open, 2);
  assert.equal(connections.admit("10.0.0.1", denied), undefined);
});

Deno.test("LimitStore.take() forgets the rested when it is full, and never a client that is not", () => {
  let now = 0;
  const store = new LimitStore({ now: () => now, monotonic: () => now }, 2);
  const rule = { name: "x", quota: 1, windowSeconds: 1, burst: 1 };
  assert.equal(store.takeOne(rule, "a")?.allowed, true);
  assert.equal(store.takeOne(rule, "b")?.allowed, true);
  assert.equal(store.takeOne(rule, "c"), undefined, "no room: neither is rested");
  assert.equal(store.takeOne(rule, "a")?.allowed, false, "and a is still known");
  now = 1_000;
  assert.equal(store.takeOne(rule, "c")?.allowed, true);
  assert.equal(store.size, 1);
});
