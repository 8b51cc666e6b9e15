import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { encodeDgi, parseDgi, parseDgis } from "./dgi.ts";

Deno.test("encodeDgi() gives the recorded data of STORE DATA", () => {
  equal(toHex(encodeDgi(0x0002, fromHex("DEADBEEF"))), "000204DEADBEEF");
  const template = fromHex("9501028001B1810120820121830101");
  equal(toHex(encodeDgi(0x00b9, template, { lengthByte: false })), "00B99501028001B1810120820121830101");
});

Deno.test("parseDgi() undoes encodeDgi(), with and without length", () => {
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.uint8Array({ minLength: 250, maxLength: 600, size: "max" }),
  );
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffff }), value, fc.boolean(), (dgi, v, lengthByte) => {
    deepEqual(parseDgi(encodeDgi(dgi, v, { lengthByte }), { lengthByte }), { dgi, value: v });
  }));
});

Deno.test("encodeDgi() writes FF and two bytes from 255 on", () => {
  equal(toHex(encodeDgi(1, new Uint8Array(254))).slice(0, 6), "0001FE");
  equal(toHex(encodeDgi(1, new Uint8Array(255))).slice(0, 10), "0001FF00FF");
});

Deno.test("parseDgis() reads several in order", () => {
  const bytes = concat(encodeDgi(1, fromHex("AA")), encodeDgi(2, fromHex("")));
  deepEqual(parseDgis(bytes).map(({ dgi, value }) => [dgi, toHex(value)]), [[1, "AA"], [2, ""]]);
});

Deno.test("parseDgi() refuses what is cut off, and what follows", () => {
  for (const hex of ["", "00", "0002", "000204DEADBE", "0002FF", "0002FF00", "0002FF0001"]) {
    throws(() => parseDgi(fromHex(hex)), { code: "TLV_TRUNCATED" }, hex);
  }
  throws(() => parseDgi(fromHex("000201AABB")), { code: "TLV_TOO_MANY" });
  throws(() => parseDgis(fromHex("000201AABB")), { code: "TLV_TRUNCATED" });
});

Deno.test("encodeDgi() refuses identifiers and values out of range", () => {
  for (const dgi of [-1, 0x10000]) throws(() => encodeDgi(dgi, new Uint8Array(0)), { code: "TLV_TAG" });
  throws(() => encodeDgi(1, new Uint8Array(0x10000)), { code: "TLV_LENGTH" });
});
