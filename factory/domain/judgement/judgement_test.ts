import assert from "node:assert/strict";
import { cardsToKeep, DEFAULT_LIMITS, judge, type JudgedCard, type JudgementLimits } from "./judgement.ts";
import { describeShared, sharedTraits } from "./shared_traits.ts";
import { chipTraits } from "./chip_traits.ts";

const good = (traits: JudgedCard["traits"] = {}): JudgedCard => ({ outcome: "good", traits });
const scrapped = (traits: JudgedCard["traits"] = {}): JudgedCard => ({ outcome: "scrapped", traits });
const many = (count: number, card: JudgedCard) => Array.from({ length: count }, () => card);
const OFF: JudgementLimits = {
  scrappedInRow: null,
  yieldPercent: null,
  yieldAfterCards: 1,
  yieldWindowCards: 1,
};

Deno.test("judge() stops at the limit of scrapped cards in a row, not one card earlier", () => {
  const limits = { ...OFF, scrappedInRow: 3 };
  assert.equal(judge(limits, []).kind, "go");
  assert.equal(judge(limits, [good(), ...many(2, scrapped())]).kind, "go");
  assert.equal(judge(limits, [scrapped(), scrapped(), good(), scrapped(), scrapped()]).kind, "go");
  const stop = judge(limits, [scrapped(), good(), ...many(3, scrapped())]);
  assert.ok(stop.kind === "stop");
  assert.deepEqual([stop.rule, stop.failures.length, stop.others.length], ["scrapped-in-row", 3, 1]);
});

Deno.test("judge() judges the yield after the minimum, exactly at the limit, over the window", () => {
  const limits = { ...OFF, yieldPercent: 90, yieldAfterCards: 10, yieldWindowCards: 20 };
  assert.equal(judge(limits, many(9, scrapped())).kind, "go", "too few cards");
  assert.equal(judge(limits, [scrapped(), ...many(9, good())]).kind, "go", "exactly 90 %");
  const stop = judge(limits, [scrapped(), scrapped(), ...many(8, good())]);
  assert.ok(stop.kind === "stop");
  assert.deepEqual([stop.code, stop.failures.length, stop.others.length], ["JUDGEMENT_YIELD", 2, 8]);
  assert.equal(judge(limits, [...many(50, scrapped()), ...many(20, good())]).kind, "go", "the past is past");
  assert.equal(judge(limits, [...many(500, good()), ...many(3, scrapped())]).kind, "stop");
});

Deno.test("judge() with every rule off never stops; cardsToKeep() covers every rule", () => {
  assert.equal(judge(OFF, many(500, scrapped())).kind, "go");
  assert.equal(cardsToKeep(DEFAULT_LIMITS), 200);
  assert.equal(cardsToKeep({ ...OFF, scrappedInRow: 7 }), 7);
  assert.equal(cardsToKeep({ ...OFF, yieldWindowCards: 5000 }), 1000);
});

Deno.test("sharedTraits() names what most failures have, first what good cards have not", () => {
  const line = { station: "line-1", package: "AA" };
  const failures = [
    scrapped({ ...line, reason: "CARD_MUTE", reader: "B", "chip lot": "0102" }),
    scrapped({ ...line, reason: "CARD_MUTE", reader: "B", "chip lot": "0102" }),
    scrapped({ ...line, reason: "CARD_MUTE", reader: "A", "chip lot": "0102" }),
    scrapped({ ...line, reason: "CARD_MUTE", reader: "B", "chip lot": "0102" }),
  ];
  const others = [good({ ...line, reader: "A", "chip lot": "0A0B" }), good({ ...line, reader: "B" })];
  const found = sharedTraits(failures, others);
  assert.deepEqual(found.map(({ trait }) => trait), ["reason", "chip lot", "reader", "station", "package"]);
  assert.deepEqual(found.slice(0, 3).map(describeShared), [
    "all 4 have reason CARD_MUTE",
    "all 4 have chip lot 0102 (and 0 of 2 good ones)",
    "3 of 4 have reader B (and 1 of 2 good ones)",
  ]);
  assert.deepEqual(sharedTraits(failures.slice(0, 1), others), [], "one card shares nothing");
  assert.deepEqual(sharedTraits([scrapped({ reader: "A" }), scrapped({ reader: "B" })], []), []);
});

Deno.test("chipTraits() takes the CPLC fields apart", () => {
  // Fields of 2 bytes each, but for the serial number (4 bytes, the seventh).
  const cplc = "4790" + "0001" + "4A4B" + "1234" + "0107" + "9123" + "AABBCCDD" + "5566" + "00".repeat(24);
  assert.deepEqual(chipTraits(cplc), {
    firmware: "4A4B0107",
    "chip fabrication date": "9123",
    "chip lot": "5566",
    "chip type": "47900001",
  });
  assert.deepEqual(chipTraits(null), {});
});
