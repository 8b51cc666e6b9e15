import assert from "node:assert/strict";
import fc from "fast-check";
import { readAddress } from "./address.ts";
import { clientAddress, type ClientAddressRule } from "./client_address.ts";
import { compileNetworks } from "./networks.ts";

const trustedProxies = compileNetworks(["10.0.0.0/8", "2001:db8:f::/48"]);
const xff: ClientAddressRule = { from: "x-forwarded-for", trustedProxies };
const forwarded: ClientAddressRule = { from: "forwarded", trustedProxies };

/** [connection, field, client]; undefined: refused. */
const CASES: readonly [ClientAddressRule, string, string, string | undefined][] = [
  [xff, "10.0.0.1", "192.0.2.1", "192.0.2.1"],
  [xff, "10.0.0.1", "198.51.100.1, 192.0.2.1", "192.0.2.1"],
  [xff, "10.0.0.1", "192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1"],
  [xff, "10.0.0.1", "10.0.0.9", "10.0.0.9"],
  [xff, "10.0.0.1", "", "10.0.0.1"],
  [xff, "192.0.2.9", "192.0.2.1", "192.0.2.9"],
  [xff, "192.0.2.9", "garbage", "192.0.2.9"],
  [xff, "10.0.0.1", "garbage", undefined],
  [xff, "10.0.0.1", "192.0.2.1,", undefined],
  [xff, "10.0.0.1", "garbage, 192.0.2.1", "192.0.2.1"],
  [xff, "10.0.0.1", "unknown", "10.0.0.1"],
  [xff, "10.0.0.1", "192.0.2.1:4711", "192.0.2.1"],
  [xff, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
  [xff, "10.0.0.1", "2001:DB8::1", "2001:db8::1"],
  [xff, "10.0.0.1", "fe80::1%eth0", undefined],
  [xff, "2001:db8:f::1", "::ffff:192.0.2.1", "192.0.2.1"],
  [forwarded, "10.0.0.1", "for=192.0.2.1", "192.0.2.1"],
  [forwarded, "10.0.0.1", "for=198.51.100.1, for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"],
  [forwarded, "10.0.0.1", 'For="[2001:db8::1]:80"', "2001:db8::1"],
  [forwarded, "10.0.0.1", 'for="192.0.2.1:80", for=10.0.0.2', "192.0.2.1"],
  [forwarded, "10.0.0.1", 'for=198.51.100.1, for="_hidden"', "10.0.0.1"],
  [forwarded, "10.0.0.1", "proto=https", "10.0.0.1"],
  [forwarded, "10.0.0.1", 'host="a, for=198.51.100.1";for=192.0.2.1', "192.0.2.1"],
  [forwarded, "10.0.0.1", "for=192.0.2.1;for=192.0.2.2", undefined],
  [forwarded, "10.0.0.1", 'for="192.0.2.1', undefined],
  [forwarded, "10.0.0.1", "for=192.0.2.1 for=192.0.2.2", undefined],
  [forwarded, "10.0.0.1", ",", undefined],
];

Deno.test("clientAddress() counts hops from the right and believes nobody else", () => {
  for (const [rule, connection, field, client] of CASES) {
    assert.equal(clientAddress(rule, connection, [["x", "y"], [rule.from, field]]), client, field);
    // The other field, and no rule, are nothing.
    const other = rule.from === "forwarded" ? "x-forwarded-for" : "forwarded";
    assert.equal(clientAddress(rule, connection, [[other, field]]), connection);
    assert.equal(clientAddress(undefined, connection, [[rule.from, field]]), connection);
  }
  const headers = [["x-forwarded-for", "198.51.100.1"], ["x-forwarded-for", "192.0.2.1"]] as const;
  assert.equal(clientAddress(xff, "10.0.0.1", headers), "192.0.2.1", "two fields are one list");
});

Deno.test("clientAddress() whatever a client puts in front, a proxy's own entry decides", () => {
  fc.assert(fc.property(fc.string({ maxLength: 100 }), (lie) => {
    assert.equal(clientAddress(xff, "10.0.0.1", [["x-forwarded-for", `${lie}, 192.0.2.1`]]), "192.0.2.1");
  }));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'for=;,"\\[]:.1 _'), maxLength: 60 }), (text) => {
      for (const rule of [xff, forwarded]) {
        const client = clientAddress(rule, "10.0.0.1", [[rule.from, text]]);
        assert.ok(client === undefined || readAddress(client) !== undefined);
      }
    }),
  );
});
