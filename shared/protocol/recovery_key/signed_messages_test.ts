import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import {
  cardEphemeralMessage,
  cardKeyMessage,
  hostEphemeralMessage,
  hostStaticMessage,
} from "./signed_messages.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const key = new Uint8Array(65).fill(0x44);
const a = new Uint8Array(8).fill(0xaa);
const b = new Uint8Array(8).fill(0xbb);
const serial = new Uint8Array(7).fill(0x77);
const target = new Uint8Array(4).fill(0x33);
const hex = (byte: string, length: number) => byte.repeat(length);

Deno.test("each message begins with its role and has its fields in the order of card.md, 5.2", () => {
  assert.equal(toHex(cardKeyMessage(target, key)), "0A" + hex("33", 4) + hex("44", 65));
  assert.equal(toHex(cardEphemeralMessage(a, b, key)), "0A" + hex("AA", 8) + hex("BB", 8) + hex("44", 65));
  assert.equal(toHex(hostStaticMessage(serial, key)), "02" + hex("77", 7) + hex("44", 65));
  assert.equal(toHex(hostEphemeralMessage(a, b, key)), "12" + hex("AA", 8) + hex("BB", 8) + hex("44", 65));
});

Deno.test("messages are not built from fields of other lengths", () => {
  const short = key.slice(1);
  const wrong = [
    () => cardKeyMessage(target.slice(1), key),
    () => cardKeyMessage(target, short),
    () => cardEphemeralMessage(a.slice(1), b, key),
    () => cardEphemeralMessage(a, b, short),
    () => cardEphemeralMessage(a, new Uint8Array(9), key),
    () => cardEphemeralMessage(a, new Uint8Array(0), key),
    () => hostStaticMessage(serial.slice(1), key),
    () => hostStaticMessage(serial, short),
    () => hostEphemeralMessage(new Uint8Array(9), b, key),
    () => hostEphemeralMessage(a, b.slice(1), key),
    () => hostEphemeralMessage(a, b, short),
  ];
  for (const build of wrong) assert.throws(build, code("RK_FIELD"));
});
