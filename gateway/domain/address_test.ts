import assert from "node:assert/strict";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { addressGroup, readAddress, readIpv4 } from "./address.ts";

Deno.test("readIpv4() reads every address in its one notation and nothing else", () => {
  fc.assert(fc.property(fc.ipV4(), (text) => {
    const word = readIpv4(text);
    assert.equal([24, 16, 8, 0].map((shift) => (word! >>> shift) & 255).join("."), text);
  }));
  for (
    const bad of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.",
      ".1.2.3",
      "1..2.3",
      "1.2.3.4 ",
      "1e1.2.3.4",
    ]
  ) {
    assert.equal(readIpv4(bad), undefined, bad);
  }
});

/** What ipaddr.js makes of a text, in our words. */
function theirs(text: string): number[] | undefined {
  if (!ipaddr.IPv6.isValid(text)) return undefined;
  const { parts } = ipaddr.IPv6.parse(text);
  const words = [0, 2, 4, 6].map((i) => parts[i]! * 65_536 + parts[i + 1]!);
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? [words[3]!] : words;
}

/** ipaddr.js takes the old ::1.2.3.4 for ::ffff:1.2.3.4, and zeros in front of decimal numbers. */
const isTheirOwn = (text: string) => /^::\d+\.|(?:^|[:.])0\d+\./.test(text);

Deno.test("readAddress() reads IPv6 as ipaddr.js does, right or wrong", () => {
  const agree = (text: string) => {
    // IPv4 alone is the other reader's, and ipaddr.js takes more notations of it.
    fc.pre(text.includes(":") && !isTheirOwn(text));
    assert.deepEqual(readAddress(text), theirs(text), text);
  };
  const runs = { numRuns: 3_000 };
  fc.assert(fc.property(fc.ipV6(), agree), runs);
  const pieces = fc.constantFrom(
    ":",
    "::",
    "0",
    "1",
    "fe80",
    "ffff",
    "12345",
    "g",
    "1.2.3.4",
    "1.2",
    ".",
    "Ab",
  );
  fc.assert(fc.property(fc.array(pieces, { maxLength: 17 }).map((all) => all.join("")), agree), runs);
  assert.deepEqual(readAddress("::ffff:10.0.0.1"), [0x0a000001]);
  assert.deepEqual(readAddress("::ffff:a00:1"), [0x0a000001]);
  assert.deepEqual(readAddress("2001:db8::1%eth0"), [0x20010db8, 0, 0, 1]);
});

Deno.test("addressGroup() is an IPv4 address, or the /64 of an IPv6 address", () => {
  assert.equal(addressGroup("10.0.0.1"), "10.0.0.1");
  assert.equal(addressGroup("::ffff:10.0.0.1"), "10.0.0.1");
  assert.equal(addressGroup("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  assert.equal(addressGroup("2001:db8:1:2::"), addressGroup("2001:db8:1:2:ffff::1"));
  assert.notEqual(addressGroup("2001:db8:1:2::"), addressGroup("2001:db8:1:3::"));
  assert.equal(addressGroup("unix"), "unix");
});
