import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, equal, equalConstantTime, fromHex, readUint, toHex, writeUint } from "./bytes.ts";
import { CodedError, codeOf, defineErrors, errorRow } from "./errors.ts";
import { flow } from "./flow.ts";
import { layout } from "./layout.ts";

const bytes = fc.uint8Array({ maxLength: 64 });

function codeFrom(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

Deno.test("fromHex() reads what toHex() writes, in either case, and repeats no text that it refuses", () => {
  fc.assert(fc.property(bytes, (value) => {
    assert.deepEqual(fromHex(toHex(value)), value);
    assert.deepEqual(fromHex(toHex(value).toLowerCase()), value);
  }));
  for (const text of ["A", "0G", "C0FFEE1", "0x12"]) {
    assert.equal(codeFrom(() => fromHex(text)), "BYTES_NOT_HEX");
    assert.throws(() => fromHex(text), (error: Error) => !error.message.includes(text));
  }
});

Deno.test("writeUint() and readUint() agree from 1 to 6 bytes, and a value that does not fit is refused", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(), (length, value) => {
    if (value < 2 ** (8 * length)) assert.equal(readUint(writeUint(value, length)), value);
    else assert.equal(codeFrom(() => writeUint(value, length)), "BYTES_RANGE");
  }));
  for (const value of [-1, 1.5, 256, NaN]) assert.equal(codeFrom(() => writeUint(value, 1)), "BYTES_RANGE");
});

Deno.test("equal() and equalConstantTime() say the same of every pair", () => {
  fc.assert(fc.property(bytes, bytes, (a, b) => {
    assert.equal(equalConstantTime(a, b), equal(a, b));
    assert.ok(equalConstantTime(a, a.slice()));
  }));
});

Deno.test("concat() joins in order", () => {
  fc.assert(fc.property(bytes, bytes, (a, b) => assert.equal(toHex(concat(a, b)), toHex(a) + toHex(b))));
});

Deno.test("layout() cuts what it joins, and refuses other lengths and a wrong sum", () => {
  const message = layout(5, { version: 1, serial: 4 });
  const whole = fromHex("01DEADBEEF");
  assert.deepEqual(message.decode(whole), { version: fromHex("01"), serial: fromHex("DEADBEEF") });
  assert.deepEqual(message.encode(message.decode(whole)), whole);
  assert.equal(codeFrom(() => message.decode(whole.slice(1))), "LAYOUT_LENGTH");
  assert.equal(
    codeFrom(() => message.encode({ version: whole, serial: whole.slice(1) })),
    "LAYOUT_LENGTH",
  );
  assert.throws(() => layout(6, { version: 1, serial: 4 }), /fields sum to 5/);
});

Deno.test("flow() refuses an event that is not in the table", () => {
  const card = flow<"blank" | "done", "finish">({ blank: { finish: "done" }, done: {} });
  assert.equal(card.next("blank", "finish"), "done");
  assert.equal(card.next("done", "finish"), undefined);
});

Deno.test("defineErrors() lets no code be defined twice; an unknown code is a fault of ours", () => {
  assert.throws(() => defineErrors({ BYTES_RANGE: { fault: "bug", retry: false, next: "" } }), /already/);
  assert.equal(new CodedError("BYTES_NOT_HEX", "x").row.fault, "usage");
  assert.equal(errorRow("NO_SUCH_CODE").fault, "bug");
  assert.equal(codeOf(new Error("x")), "INTERNAL");
});
