import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { decodeResponse, encodeResponse, response } from "./response.ts";

Deno.test("decodeResponse() splits data and status word", () => {
  deepEqual(decodeResponse(fromHex("9000")), response(0x9000));
  deepEqual(decodeResponse(fromHex("01026A88")), response(0x6a88, fromHex("0102")));
  equal(toHex(encodeResponse(response(0x63c2, fromHex("FF")))), "FF63C2");
});

Deno.test("decodeResponse() undoes encodeResponse()", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), fc.uint8Array({ maxLength: 300 }), (sw, data) => {
      deepEqual(decodeResponse(encodeResponse(response(sw, data))), response(sw, data));
    }),
  );
});

Deno.test("decodeResponse() refuses an answer without status word", () => {
  for (const hex of ["", "90"]) throws(() => decodeResponse(fromHex(hex)), { code: "APDU_NO_STATUS" });
});
