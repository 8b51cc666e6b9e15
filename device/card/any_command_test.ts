/** Whatever is sent, wrapped or not, the card answers with a status word, and the issuer domain never loses its way. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { command } from "shared/protocol/apdu/command.ts";
import { startUpgrade } from "shared/protocol/gp/manage_elf_upgrade.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { RECOVERY_KEY_PACKAGE_AID } from "./constants.ts";
import { cardBench } from "./testing/bench.ts";
import { decodeCardState, encodeCardState } from "./state.ts";
import { memoryStore } from "./store.ts";

/** With memory for little, so that it becomes full. */
const PRELOADED = { memoryBytes: 6000, preloaded: { package: {}, instance: {}, ssd: {} } } as const;
const byte = fc.nat({ max: 255 });

Deno.test("VirtualCard.process() answers any bytes", async () => {
  const bench = await cardBench(PRELOADED);
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
    const answer = await bench.card.process(bytes);
    assert.ok(answer.length >= 2 && answer.length <= 258);
  }));
});

/** Tag, length, value as commands carry them, often right enough to be read. */
const tlv = fc.tuple(
  fc.constantFrom(0x4f, 0x5c, 0x42, 0xd0, 0xd2, 0xc9, 0x88, 0xb0, 0xa1, 0xf0),
  fc.uint8Array({ maxLength: 20 }),
)
  .map(([tag, value]) => Uint8Array.of(tag, value.length, ...value));
/** MANAGE ELF UPGRADE of the package that is there, or a part of it. */
const upgrade = fc.constantFrom(0, 0, 0, 1, 2, 20).map((skip) =>
  startUpgrade(RECOVERY_KEY_PACKAGE_AID).data.subarray(skip)
);
const data = fc.oneof(
  upgrade,
  fc.uint8Array({ maxLength: 200 }),
  fc.array(tlv, { maxLength: 5 }).map((all) => Uint8Array.from(all.flatMap((one) => [...one]))),
);
const managing = fc.record({
  ins: fc.constantFrom(0xd8, 0xe2, 0xe4, 0xe6, 0xe8, 0xf0, 0xf2, 0xca, 0xea),
  p1: fc.oneof(byte, fc.constantFrom(0, 0x01, 0x02, 0x03, 0x04, 0x08, 0x0c, 0x10, 0x20, 0x40, 0x80, 0x90)),
  p2: fc.oneof(byte, fc.constantFrom(0, 1, 2, 3, 0x80, 0x81)),
  data,
});

Deno.test("the issuer domain answers any managing command without 6F00, and its memory stays readable", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(managing, { minLength: 1, maxLength: 12 }), async (commands) => {
      const store = memoryStore();
      const bench = await cardBench({ ...PRELOADED, store });
      const channel = await bench.issuer(0x01);
      for (const { ins, p1, p2, data } of commands) {
        const { sw } = await channel.send(command(0x80, ins, p1, p2, data));
        assert.notEqual(formatStatus(sw), "6F00");
        // A card that was terminated on the way ends the channel.
        if (!channel.alive) break;
      }
      const text = encodeCardState(store.load()!);
      assert.equal(encodeCardState(decodeCardState(text)), text);
    }),
    { numRuns: 200 },
  );
});
