import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command, decodeCommand, encodeCommand } from "./command.ts";

const AB = (length: number) => new Uint8Array(length).fill(0xab);

/** The seven cases of ISO/IEC 7816-3, 12.1.3, with the bytes that the specification gives them. */
const CASES = [
  ["1", command(0x80, 0xf2, 1, 2), "80F20102"],
  ["2S", command(0x80, 0xca, 0x9f, 0x7f, undefined, 256), "80CA9F7F00"],
  ["2S, Le 5", command(0x80, 0xca, 0x9f, 0x7f, undefined, 5), "80CA9F7F05"],
  ["3S", command(0x80, 0xe2, 0, 0, AB(2)), "80E2000002ABAB"],
  ["4S", command(0x00, 0xa4, 4, 0, AB(5), 256), "00A4040005ABABABABAB00"],
  ["2E", command(0x80, 0xca, 0, 0, undefined, 65536), "80CA0000000000"],
  ["2E, Le 257", command(0x80, 0xca, 0, 0, undefined, 257), "80CA0000000101"],
  ["3E", command(0x80, 0xe2, 0, 0, AB(256)), "80E20000000100" + "AB".repeat(256)],
  ["4E", command(0x80, 0xe2, 0, 0, AB(256), 65536), "80E20000000100" + "AB".repeat(256) + "0000"],
  ["4E by Le alone", command(0x80, 0xe2, 0, 0, AB(1), 257), "80E20000000001AB0101"],
] as const;

for (const [name, apdu, hex] of CASES) {
  Deno.test(`encodeCommand() and decodeCommand() case ${name}`, () => {
    equal(toHex(encodeCommand(apdu)), hex);
    deepEqual(decodeCommand(fromHex(hex)), apdu);
  });
}

Deno.test("decodeCommand() undoes encodeCommand() for every data and Le", () => {
  const byte = fc.integer({ min: 0, max: 255 });
  fc.assert(fc.property(
    byte,
    byte,
    byte,
    byte,
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 65000, maxLength: 65535, size: "max" }),
    ),
    fc.option(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 65536 })), {
      nil: undefined,
    }),
    (cla, ins, p1, p2, data, le) => {
      const apdu = command(cla, ins, p1, p2, data, le);
      deepEqual(decodeCommand(encodeCommand(apdu)), apdu);
    },
  ));
});

Deno.test("decodeCommand() refuses every length that no case has", () => {
  const malformed = [
    "",
    "80",
    "80CA00",
    "80E2000002AB",
    "80E2000002ABABABAB",
    "80E200000000",
    "80E20000000000AB",
    "80E20000000002AB",
    "80E20000000002ABAB00",
  ];
  for (const hex of malformed) throws(() => decodeCommand(fromHex(hex)), { code: "APDU_MALFORMED" }, hex);
});

Deno.test("decodeCommand() reads or refuses with a code, whatever the bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
    try {
      decodeCommand(bytes);
    } catch (error) {
      equal((error as { code?: string }).code, "APDU_MALFORMED");
    }
  }));
});

Deno.test("encodeCommand() refuses data and Le out of range", () => {
  for (const le of [0, -1, 65537]) {
    throws(() => encodeCommand(command(0, 0, 0, 0, undefined, le)), { code: "APDU_RANGE" });
  }
  throws(() => encodeCommand(command(0, 0, 0, 0, AB(65536))), { code: "APDU_RANGE" });
});
