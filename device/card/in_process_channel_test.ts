import assert from "node:assert/strict";
import { fromHex, readUint, toHex } from "shared/base/bytes.ts";
import type { ReaderEvent } from "shared/transport/card_channel.ts";
import { FAULT_KINDS } from "./fault_plan.ts";
import { inProcessReaders, openInProcessChannel } from "./in_process_channel.ts";
import { VirtualCard } from "./virtual_card.ts";

const SELECT_ISD = fromHex("00A4040008A000000151000000");
const INITIALIZE_UPDATE = fromHex("8050000008010203040506070800");

/** Sequence counter in an INITIALIZE UPDATE answer. */
const counterOf = (answer: Uint8Array) => readUint(answer.subarray(-5, -2));

Deno.test("InProcessChannel loses the card as each fault kind says, at every index", async () => {
  for (const kind of FAULT_KINDS) {
    for (const index of [0, 1, 2, 3]) {
      const card = await VirtualCard.open();
      const channel = openInProcessChannel(card, { faultPlan: [{ kind, index }] });
      let answered = 0;
      const send = async () => {
        for (let i = 0; i <= 4; i++) {
          await channel.transmit(INITIALIZE_UPDATE);
          answered++;
        }
      };
      await assert.rejects(send(), { code: "CARD_REMOVED" }, `${kind}:${index}`);
      assert.equal(answered, kind === "after-answer" ? index + 1 : index, `${kind}:${index}`);
      await assert.rejects(channel.reset(), { code: "CARD_REMOVED" });
      assert.equal(card.powered, false);
      // What the card stored tells the kinds apart.
      const again = openInProcessChannel(card);
      const executed = kind === "before" ? index : index + 1;
      assert.equal(counterOf(await again.transmit(INITIALIZE_UPDATE)), executed + 1, `${kind}:${index}`);
    }
  }
});

Deno.test("InProcessChannel refuses a second command in flight and any after close", async () => {
  const channel = openInProcessChannel(await VirtualCard.open());
  const first = channel.transmit(SELECT_ISD);
  await assert.rejects(channel.transmit(SELECT_ISD), { code: "CARD_CHANNEL_CLOSED" });
  assert.equal(toHex((await first).slice(-2)), "9000");
  await channel.close();
  await channel.close();
  await assert.rejects(channel.transmit(SELECT_ISD), { code: "CARD_CHANNEL_CLOSED" });
});

Deno.test("inProcessReaders() tells of insertion and removal, by hand or by fault", async () => {
  const readers = inProcessReaders(["one", "two"]);
  const stop = new AbortController();
  const events: ReaderEvent[] = [];
  const watching = (async () => {
    for await (const event of readers.watch(stop.signal)) {
      events.push(event);
      if (events.length === 6) stop.abort();
    }
  })();
  const card = await VirtualCard.open();
  await assert.rejects(readers.connect("one"), { code: "CARD_ABSENT" });
  await assert.rejects(readers.connect("three"), { code: "READER_UNKNOWN" });
  const stats = readers.insert("one", card, { faultPlan: [{ kind: "before", index: 1 }] });
  assert.throws(() => readers.insert("one", card), { code: "CARD_BUSY" });
  const channel = await readers.connect("one");
  await assert.rejects(readers.connect("one"), { code: "CARD_BUSY" });
  await channel.transmit(SELECT_ISD);
  await assert.rejects(channel.transmit(SELECT_ISD), { code: "CARD_REMOVED" });
  assert.equal(stats.apdus, 2);
  readers.insert("one", card);
  const second = await readers.connect("one");
  await second.close();
  await readers.connect("one");
  readers.remove("one");
  await watching;
  assert.deepEqual(events.map((event) => event.kind), [
    "reader-added",
    "reader-added",
    "card-inserted",
    "card-removed",
    "card-inserted",
    "card-removed",
  ]);
});

Deno.test("InProcessChannel keeps the chip's time", async () => {
  const channel = openInProcessChannel(await VirtualCard.open(), { apduDelayMs: 20 });
  await channel.transmit(SELECT_ISD);
  // Timers may fire a little early; the card's own time says what was waited.
  assert.ok(channel.stats.cardMs >= 15, `${channel.stats.cardMs}`);
  assert.equal(channel.stats.apdus, 1);
});
