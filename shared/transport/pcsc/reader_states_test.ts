import assert from "node:assert/strict";
import { decodeReaderStates, encodeReaderStates, READERSTATE_LENGTH } from "./reader_states.ts";

Deno.test("encodeReaderStates() puts name and known state where pcsclite.h has them", () => {
  const bytes = encodeReaderStates([
    { nameAddress: 0x1122334455667788n, currentState: 0x00030020 },
    { nameAddress: 1n, currentState: 0 },
  ]);
  assert.equal(bytes.length, 2 * READERSTATE_LENGTH);
  assert.deepEqual([...bytes.subarray(0, 8)], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
  assert.deepEqual([...bytes.subarray(16, 24)], [0x20, 0x00, 0x03, 0, 0, 0, 0, 0]);
  assert.equal(bytes[80], 1);
});

Deno.test("decodeReaderStates() reads state, counter and answer to reset, and bounds its length", () => {
  const bytes = new Uint8Array(2 * READERSTATE_LENGTH);
  bytes.set([0x22, 0x00, 0x01, 0x80], 24);
  bytes.set([2], 32);
  bytes.set([0x3b, 0x01], 40);
  bytes.set([0xff, 0xff], READERSTATE_LENGTH + 32);
  const [first, second] = decodeReaderStates(bytes);
  assert.deepEqual(first, { eventState: 0x80010020, changed: true, atr: Uint8Array.of(0x3b, 0x01) });
  assert.equal(second?.changed, false);
  assert.equal(second?.atr.length, 33);
});
