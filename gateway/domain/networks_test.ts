import assert from "node:assert/strict";
import fc from "fast-check";
import { compileNetworks, isNetwork, normalAddress } from "./networks.ts";

Deno.test("compileNetworks() finds addresses of both families, also IPv4 in IPv6 clothes", () => {
  const set = compileNetworks(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::ffff:172.16.0.0/108"]);
  for (
    const inside of [
      "10.1.2.3",
      "::ffff:10.1.2.3",
      "192.0.2.7",
      "2001:db8::1",
      "2001:db8::1%eth0",
      "172.16.9.9",
    ]
  ) {
    assert.ok(set.contains(inside), inside);
  }
  for (
    const outside of [
      "11.0.0.0",
      "192.0.2.8",
      "2001:db9::1",
      "::1",
      "",
      "localhost",
      "10.1.2",
      "0x0a.1.2.3.4",
    ]
  ) {
    assert.ok(!set.contains(outside), outside);
  }
  assert.ok(!compileNetworks([]).contains("10.0.0.1"));
});

Deno.test("compileNetworks() agrees with arithmetic on IPv4", () => {
  const address = fc.integer({ min: 0, max: 0xffffffff });
  const text = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
  fc.assert(fc.property(address, fc.integer({ min: 0, max: 32 }), address, (base, bits, probe) => {
    const size = 2 ** (32 - bits);
    const network = Math.floor(base / size) * size;
    const expected = probe >= network && probe < network + size;
    assert.equal(compileNetworks([`${text(network)}/${bits}`]).contains(text(probe)), expected);
  }));
});

Deno.test("isNetwork() refuses what people misread", () => {
  for (const good of ["0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32", "127.0.0.1/32"]) {
    assert.ok(isNetwork(good), good);
  }
  for (
    const bad of [
      "10.0.0.1/8",
      "10.0.0.0",
      "10/8",
      "0x0a.0.0.0/8",
      "10.0.0.0/33",
      "2001:db8::1/32",
      "a/8",
      "",
    ]
  ) {
    assert.ok(!isNetwork(bad), bad);
  }
});

Deno.test("normalAddress() writes an address in one way", () => {
  assert.equal(normalAddress("::ffff:127.0.0.1"), "127.0.0.1");
  assert.equal(normalAddress("2001:DB8:0::1"), "2001:db8::1");
  assert.equal(normalAddress("unix"), "unix");
});
