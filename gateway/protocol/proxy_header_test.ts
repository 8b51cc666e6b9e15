import assert from "node:assert/strict";
import fc from "fast-check";
import { PROXY_SIGNATURE, readProxyHeader } from "./proxy_header.ts";

const header = (command: number, family: number, rest: readonly number[]) =>
  new Uint8Array([...PROXY_SIGNATURE, command, family, rest.length >> 8, rest.length & 255, ...rest]);
const PORTS = [0, 80, 1, 187];
const IPV4 = header(0x21, 0x11, [192, 0, 2, 1, 10, 0, 0, 1, ...PORTS]);
const IPV6 = header(0x21, 0x21, [
  0x20,
  1,
  0xd,
  0xb8,
  ...Array(11).fill(0),
  1,
  ...Array(16).fill(0),
  ...PORTS,
]);

Deno.test("readProxyHeader() reads who connected, with and without additional vectors", () => {
  assert.deepEqual(readProxyHeader(IPV4), { kind: "header", bytes: 28, address: "192.0.2.1" });
  assert.deepEqual(readProxyHeader(IPV6), { kind: "header", bytes: 52, address: "2001:db8:0:0:0:0:0:1" });
  assert.deepEqual(readProxyHeader(header(0x20, 0, [])), { kind: "header", bytes: 16, address: undefined });
  const vectors = header(0x21, 0x11, [...IPV4.subarray(16), 3, 0, 4, 1, 2, 3, 4]);
  assert.deepEqual(readProxyHeader(new Uint8Array([...vectors, 22, 3, 1])), {
    kind: "header",
    bytes: 35,
    address: "192.0.2.1",
  });
});

Deno.test("readProxyHeader() wants more at every cut and refuses every wrong byte of its fixed part", () => {
  for (const whole of [IPV4, IPV6]) {
    for (let length = 0; length < whole.length; length++) {
      assert.deepEqual(readProxyHeader(whole.subarray(0, length)), { kind: "more" }, String(length));
    }
    for (let at = 0; at < 14; at++) {
      for (let value = 0; value < 256; value++) {
        const known = value === whole[at] || (at === 12 && value === 0x20);
        // TCP over IPv4 needs only 12 of the 36 bytes of the other family.
        const fits = at === 13 && value === 0x11 && whole === IPV6;
        if (!known && !fits) {
          assert.equal(readProxyHeader(whole.with(at, value)).kind, "malformed", `${at} ${value}`);
        }
      }
    }
  }
  assert.equal(readProxyHeader(IPV4.with(14, 17)).kind, "malformed", "too long");
  assert.equal(readProxyHeader(header(0x21, 0x11, Array(11).fill(1))).kind, "malformed", "too short");
});

Deno.test("readProxyHeader() never throws", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (rest) => {
    readProxyHeader(rest);
    readProxyHeader(new Uint8Array([...PROXY_SIGNATURE, ...rest]));
  }));
});
