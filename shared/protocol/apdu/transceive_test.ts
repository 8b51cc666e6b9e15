import { deepEqual, equal, rejects } from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command } from "./command.ts";
import { response } from "./response.ts";
import { GET_RESPONSE_MAX, transceive } from "./transceive.ts";

/** A card that answers from a list, and notes what it was sent. */
function script(...answers: string[]) {
  const sent: string[] = [];
  return {
    sent,
    raw: (bytes: Uint8Array) => {
      sent.push(toHex(bytes));
      return Promise.resolve(fromHex(answers[sent.length - 1]!));
    },
  };
}

const GET_DATA = command(0x80, 0xca, 0x9f, 0x7f, undefined, 256);

Deno.test("transceive() passes a whole answer through", async () => {
  const card = script("01029000");
  deepEqual(await transceive(card.raw, GET_DATA), response(0x9000, fromHex("0102")));
  deepEqual(card.sent, ["80CA9F7F00"]);
});

Deno.test("transceive() collects 61xx by GET RESPONSE, data of the first answer included", async () => {
  const card = script("AA6102", "BBCC6100", "DD6310");
  deepEqual(await transceive(card.raw, GET_DATA), response(0x6310, fromHex("AABBCCDD")));
  deepEqual(card.sent, ["80CA9F7F00", "00C0000002", "00C0000000"]);
});

Deno.test("transceive() keeps the logical channel in GET RESPONSE", async () => {
  for (
    const [cla, expected] of [[0x83, "03"], [0x84, "00"], [0x0c, "00"], [0xc5, "45"], [0xe5, "45"]] as const
  ) {
    const card = script("6101", "019000");
    await transceive(card.raw, command(cla, 0xf2, 0, 0));
    equal(card.sent[1], `${expected}C0000001`);
  }
});

Deno.test("transceive() repeats once with the Le of 6Cxx, and only once", async () => {
  const card = script("6C05", "01020304059000");
  deepEqual(await transceive(card.raw, GET_DATA), response(0x9000, fromHex("0102030405")));
  deepEqual(card.sent, ["80CA9F7F00", "80CA9F7F05"]);

  const stubborn = script("6C05", "6C06");
  deepEqual(await transceive(stubborn.raw, GET_DATA), response(0x6c06));
  equal(stubborn.sent.length, 2);
});

Deno.test("transceive() follows 6Cxx of GET RESPONSE once", async () => {
  const card = script("6110", "6C02", "AABB9000");
  deepEqual(await transceive(card.raw, GET_DATA), response(0x9000, fromHex("AABB")));
  deepEqual(card.sent.slice(1), ["00C0000010", "00C0000002"]);
  const stubborn = script("6110", "6C02", "6C02");
  equal((await transceive(stubborn.raw, GET_DATA)).sw, 0x6c02);
  const twice = script("6C05", "6110", "6C02");
  equal((await transceive(twice.raw, GET_DATA)).sw, 0x6c02);
});

Deno.test("transceive() gives up after 64 GET RESPONSE", async () => {
  let sent = 0;
  const raw = () => {
    sent++;
    return Promise.resolve(fromHex("006101"));
  };
  await rejects(transceive(raw, GET_DATA), { code: "APDU_UNBOUNDED" });
  equal(sent, 1 + GET_RESPONSE_MAX);
});

Deno.test("transceive() takes exactly 64 GET RESPONSE", async () => {
  const card = script(...Array.from({ length: GET_RESPONSE_MAX }, () => "006101"), "009000");
  equal((await transceive(card.raw, GET_DATA)).data.length, GET_RESPONSE_MAX + 1);
});

Deno.test("transceive() refuses an answer without status word, and passes transport errors on", async () => {
  await rejects(transceive(() => Promise.resolve(fromHex("90")), GET_DATA), { code: "APDU_NO_STATUS" });
  await rejects(transceive(() => Promise.reject(new Error("removed")), GET_DATA), /removed/);
});
