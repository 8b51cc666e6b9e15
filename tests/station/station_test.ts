import assert from "node:assert/strict";
import { inProcessReaders } from "device/card/in_process_channel.ts";
import { CodedError } from "shared/base/errors.ts";
import { runStation, summarize } from "factory/service/station/station.ts";
import type { CardReport, StationEvent } from "factory/service/station/events.ts";
import { type Line, makeLine, profileOf, TEST_CARD, VirtualCard } from "./bench_line.ts";

/** A line whose events can be awaited. */
async function withReaders(
  names: readonly string[],
  work: (line: Line, readers: ReturnType<typeof inProcessReaders>, next: Next) => Promise<void>,
  profile = profileOf("test-card"),
): Promise<void> {
  const line = await makeLine(profile);
  const readers = inProcessReaders(names);
  const seen: StationEvent[] = [];
  let wake = () => {};
  const context = {
    ...line.context,
    emit: (event: StationEvent) => {
      seen.push(event);
      wake();
    },
  };
  const next: Next = async (wanted) => {
    for (;;) {
      const index = seen.findIndex(wanted);
      if (index >= 0) return seen.splice(index, 1)[0]!;
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  try {
    await work({ ...line, context }, readers, next);
  } finally {
    await readers.close();
    await line.close();
  }
}
type Next = (wanted: (event: StationEvent) => boolean) => Promise<StationEvent>;

const finished = (reader: string) => (event: StationEvent) =>
  event.event === "card" && event.card.reader === reader;
const running = () => new AbortController().signal;

Deno.test("runStation() once: one card on each reader, then it ends", () =>
  withReaders(["a", "b", "c"], async (line, readers) => {
    for (const reader of ["a", "b", "c"]) readers.insert(reader, await VirtualCard.open(TEST_CARD));
    const summary = await runStation({ context: line.context, readers, once: true, finish: running() });
    assert.deepEqual([summary.attested, summary.failed], [3, 0]);
    assert.equal(new Set(summary.cards.map(({ serial }) => serial)).size, 3);
  }));

Deno.test("runStation() only the named readers; a name that is not there is told before anything begins", () =>
  withReaders(["a", "b"], async (line, readers) => {
    const card = await VirtualCard.open(TEST_CARD);
    readers.insert("a", await VirtualCard.open(TEST_CARD));
    readers.insert("b", card);
    const summary = await runStation({
      context: line.context,
      readers,
      only: ["b"],
      once: true,
      finish: running(),
    });
    assert.deepEqual(summary.cards.map(({ reader }) => reader), ["b"]);
    await assert.rejects(
      runStation({ context: line.context, readers, only: ["z"], once: true, finish: running() }),
      (error) =>
        error instanceof CodedError && error.code === "READER_UNKNOWN" && error.message.includes("a, b"),
    );
  }));

Deno.test("runStation() count: cards one after the other, a torn one is presented again and not counted twice", () =>
  withReaders(["a"], async (line, readers, next) => {
    const run = runStation({ context: line.context, readers, count: 2, finish: running() });
    await next((event) => event.event === "ready");
    const torn = await VirtualCard.open(TEST_CARD);
    readers.insert("a", torn, { faultPlan: [{ kind: "after-execution", index: 18 }] });
    await next(finished("a"));
    readers.insert("a", torn);
    await next(finished("a"));
    readers.remove("a");
    readers.insert("a", await VirtualCard.open(TEST_CARD));
    const summary = await run;
    assert.deepEqual([summary.attested, summary.failed, summary.cards.length], [2, 0, 3]);
  }));

Deno.test("runStation() two cards that say they are one chip never get one serial", async () => {
  const same = { ...TEST_CARD, cplc: "47".repeat(42) };
  await withReaders(["a", "b"], async (line, readers) => {
    readers.insert("a", await VirtualCard.open(same));
    readers.insert("b", await VirtualCard.open(same));
    const summary = await runStation({ context: line.context, readers, once: true, finish: running() });
    assert.deepEqual(summary.cards.map(({ reason }) => reason).sort(), ["CARD_TWIN", null]);
    assert.deepEqual([summary.attested, summary.failed], [1, 1]);
  }, profileOf("test-card", (profile) => profile.anonymousChips = false));
  // Simulators are all alike: each waits for its turn.
  await withReaders(["a", "b"], async (line, readers) => {
    readers.insert("a", await VirtualCard.open(same));
    readers.insert("b", await VirtualCard.open(same));
    const summary = await runStation({ context: line.context, readers, once: true, finish: running() });
    assert.equal(summary.attested, 2);
    assert.equal(new Set(summary.cards.map(({ serial }) => serial)).size, 2);
  });
});

Deno.test("runStation() finish: cards in work are finished, no other is begun", () =>
  withReaders(["a", "b"], async (line, readers, next) => {
    const finish = new AbortController();
    const run = runStation({ context: line.context, readers, finish: finish.signal });
    await next((event) => event.event === "ready");
    readers.insert("a", await VirtualCard.open(TEST_CARD), { apduDelayMs: 5 });
    await next((event) => event.event === "step" && event.step === "personalize");
    finish.abort();
    readers.insert("b", await VirtualCard.open(TEST_CARD));
    const summary = await run;
    assert.deepEqual(summary.cards.map(({ reader, outcome }) => [reader, outcome]), [["a", "attested"]]);
  }));

Deno.test("runStation() stop: no further command, and the card goes on later", () =>
  withReaders(["a"], async (line, readers, next) => {
    const stop = new AbortController();
    const card = await VirtualCard.open(TEST_CARD);
    const context = { ...line.context, stop: stop.signal };
    const run = runStation({ context, readers, once: true, finish: running() });
    readers.insert("a", card, { apduDelayMs: 5 });
    await next((event) => event.event === "step" && event.step === "personalize");
    stop.abort();
    assert.equal((await run).cards[0]!.reason, "STATION_STOPPED");
    readers.remove("a");
    readers.insert("a", card);
    const again = await runStation({ context: line.context, readers, once: true, finish: running() });
    assert.equal(again.attested, 1);
    await next((event) => event.event === "unfinished" && event.cards.length === 1);
  }));

Deno.test("summarize() counts cards, not presentations", () => {
  const report = (outcome: CardReport["outcome"], serial: string | null): CardReport => ({
    serial,
    outcome,
    reader: "a",
    apdus: 1,
    milliseconds: 1,
    cardMilliseconds: 1,
    certificateSha256: null,
    reason: null,
    message: null,
    next: null,
    step: null,
  });
  const cards = [
    report("failed", "01"),
    report("attested", "01"),
    report("refused", null),
    report("scrapped", "02"),
  ];
  const { attested, failed } = summarize(cards);
  assert.deepEqual([attested, failed], [1, 2]);
});
