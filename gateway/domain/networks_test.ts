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

Deno.test("compileNetworks() agrees with one network after the other, nested and overlapping, of both families", () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const ipv4 = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 16, max: 32 })).map(
    ([low, bits]) => {
      const size = 2 ** (32 - bits);
      const base = Math.floor((10 * 2 ** 24 + low * 256) / size) * size;
      return `${[24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join(".")}/${bits}`;
    },
  );
  const ipv6 = fc.tuple(fc.integer({ min: 0, max: 15 }), fc.constantFrom(32, 48, 64, 128)).map(([n, bits]) =>
    bits === 32 ? `2001:db8::/32` : bits === 48 ? `2001:db9:${n}::/48` : `2001:dba:0:${n}::/${bits}`
  );
  const near = fc.tuple(fc.integer({ min: 0, max: 3 }), word).map(([kind, n]) =>
    kind < 2
      ? `10.${n % 2}.${(n >>> 8) & 255}.${n & 255}`
      : kind === 2
      ? `2001:db9:${n % 20}::${(n & 7).toString(16)}`
      : `2001:dba:0:${n % 20}::${n & 1}`
  );
  fc.assert(fc.property(
    fc.array(fc.oneof(ipv4, ipv6), { maxLength: 60 }),
    fc.array(near, { maxLength: 30 }),
    (networks, probes) => {
      const all = compileNetworks(networks);
      const each = networks.map((network) => compileNetworks([network]));
      for (const probe of probes) {
        assert.equal(all.contains(probe), each.some((one) => one.contains(probe)), `${probe} in ${networks}`);
      }
    },
  ));
});

Deno.test("compileNetworks() finds the first and last address of every one of many networks", () => {
  // More than one run of the merge sort, in an order that is not sorted.
  const count = 5_000;
  const networks = Array.from({ length: count }, (_, i) => {
    const n = (i * 7919) % count;
    return `10.${n >>> 8}.${n & 255}.128/26`;
  });
  const set = compileNetworks(networks);
  assert.equal(set.size, count);
  for (let n = 0; n < count; n++) {
    const at = (low: number) => set.contains(`10.${n >>> 8}.${n & 255}.${low}`);
    assert.deepEqual([at(127), at(128), at(191), at(192)], [false, true, true, false], String(n));
  }
  assert.throws(() => compileNetworks(["10.0.0.1/8"]), /10\.0\.0\.1\/8/);
});
