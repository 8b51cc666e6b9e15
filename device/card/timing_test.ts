import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { openInProcessChannel } from "./in_process_channel.ts";
import { chipTimeMs, P71_TIMING, parseTiming } from "./timing.ts";
import { VirtualCard } from "./virtual_card.ts";

Deno.test("chipTimeMs() adds the table's row and the bytes of both directions", () => {
  const timing = parseTiming({ byInsMs: { A4: 10 }, perByteMs: 0.5, defaultMs: 1 });
  assert.equal(chipTimeMs(timing, fromHex("00A4040000"), fromHex("9000")), 13.5);
  assert.equal(chipTimeMs(timing, fromHex("80CA9F7F00"), fromHex("9000")), 4.5);
  assert.equal(parseTiming("p71"), P71_TIMING);
  assert.equal(chipTimeMs(parseTiming({}), fromHex("00A4040000"), fromHex("9000")), 0);
});

Deno.test("parseTiming() refuses what is no timing", () => {
  for (
    const value of [
      "p72",
      { byInsMs: { a4: 1 } },
      { byInsMs: { A4: -1 } },
      { perByteMs: "1" },
      { other: 1 },
      null,
    ]
  ) {
    assert.throws(() => parseTiming(value), { code: "VCARD_TIMING" });
  }
});

Deno.test("Presentation keeps the chip's time", async () => {
  const timing = parseTiming({ byInsMs: { A4: 20 } });
  const channel = openInProcessChannel(await VirtualCard.open(), { timing });
  await channel.transmit(fromHex("80CA9F7F00"));
  const before = channel.stats.cardMs;
  await channel.transmit(fromHex("00A4040000"));
  // Timers may fire a little early; the card's own time says what was waited.
  assert.ok(channel.stats.cardMs - before >= 15, `${channel.stats.cardMs - before}`);
  await channel.close();
});
