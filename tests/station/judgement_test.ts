/** The line stops by itself, stays stopped over a restart, and goes on when a person says so. */

import assert from "node:assert/strict";
import { inProcessReaders } from "device/card/in_process_channel.ts";
import type { JudgementLimits } from "factory/domain/judgement/judgement.ts";
import { judgedOutcome, type LineLimits } from "factory/domain/judgement/line.ts";
import { afterKey, type KeyState } from "factory/app/screen/keys.ts";
import { runStation, type StationRunOptions } from "factory/service/station/station.ts";
import type { StationEvent } from "factory/service/station/events.ts";
import { CodedError } from "shared/base/errors.ts";
import { type Line, makeLine, profileOf, TEST_CARD, VirtualCard } from "./bench_line.ts";

const OFF: JudgementLimits = {
  scrappedInRow: null,
  yieldPercent: null,
  yieldAfterCards: 1,
  yieldWindowCards: 1,
};
const LIMITS: LineLimits = { reader: { ...OFF, scrappedInRow: 2 }, station: { ...OFF, scrappedInRow: 4 } };
/** Its applet is too old: scrapped at the test. */
const PROFILE = profileOf("test-card", (profile) => {
  profile.testLimits = { minimumVersion: "2.0.0" };
});
const old = () => VirtualCard.open(TEST_CARD);
const current = () =>
  VirtualCard.open({ preloaded: { package: { version: "2.0" }, instance: { domain: "isd" } } });

interface Hall {
  readonly line: Line;
  readonly readers: ReturnType<typeof inProcessReaders>;
  readonly seen: StationEvent[];
  next(wanted: (event: StationEvent) => boolean): Promise<StationEvent>;
  run(more?: Partial<StationRunOptions>): ReturnType<typeof runStation>;
}

async function inHall(work: (hall: Hall) => Promise<void>, names = ["a", "b"]): Promise<void> {
  const line = await makeLine(PROFILE, { limits: LIMITS });
  const readers = inProcessReaders(names);
  const seen: StationEvent[] = [];
  let position = 0;
  let wake = () => {};
  const context = {
    ...line.context,
    emit: (event: StationEvent) => {
      seen.push(event);
      wake();
    },
  };
  try {
    await work({
      line,
      readers,
      seen,
      async next(wanted) {
        for (;;) {
          while (position < seen.length) {
            const event = seen[position++]!;
            if (wanted(event)) return event;
          }
          await new Promise<void>((resolve) => wake = resolve);
        }
      },
      run: (more = {}) => runStation({ context, readers, finish: new AbortController().signal, ...more }),
    });
  } finally {
    await readers.close();
    await line.close();
  }
}

const card = (event: StationEvent) => event.event === "card";
const stopped = (event: StationEvent) => event.event === "stopped";

Deno.test("a reader stops after its limit and says what the failures share; the other goes on; a restart does not lift it; a person does", () =>
  inHall(async ({ readers, run, next, line }) => {
    const end = new AbortController();
    const first = run({ finish: end.signal });
    await next((event) => event.event === "ready");
    for (let i = 0; i < 2; i++) {
      readers.insert("a", await old());
      const { card: report } = await next(card) as Extract<StationEvent, { event: "card" }>;
      assert.deepEqual([report.outcome, report.reason], ["scrapped", "CARD_TEST_FAILED"]);
      if (i === 0) readers.remove("a");
    }
    const stop = await next(stopped) as Extract<StationEvent, { event: "stopped" }>;
    assert.deepEqual([stop.reader, stop.code], ["a", "JUDGEMENT_SCRAPPED_IN_ROW"]);
    assert.match(stop.reason, /2 cards in a row.*CARD_TEST_FAILED/);
    assert.ok(stop.shared.some((text) => text.includes("reader a")));
    readers.remove("a");
    const waiting = await current();
    const stats = readers.insert("a", waiting);
    readers.insert("b", await current());
    const other = await next(card) as Extract<StationEvent, { event: "card" }>;
    assert.deepEqual([other.card.reader, other.card.outcome], ["b", "attested"]);
    assert.equal(stats.apdus, 0, "a card was touched on a stopped reader");
    end.abort();
    assert.deepEqual((await first).stopped?.map(({ reader }) => reader), ["a"]);

    // The same stop stands in the next run; a person's word lifts it, and the card that lies there begins.
    assert.deepEqual(line.journal.stops().map(({ scope }) => scope), ["a"]);
    const word = Promise.withResolvers<void>();
    const second = run({
      count: 1,
      only: ["a"],
      goOn: (async function* () {
        await word.promise;
        yield;
      })(),
    });
    await next(stopped);
    word.resolve();
    await next((event) => event.event === "resumed" && event.reader === "a" && event.operator === "ada");
    const summary = await second;
    assert.deepEqual([summary.attested, summary.stopped], [1, undefined]);
  }));

Deno.test("with nobody there to say it, a stopped line ends, and does not begin again without --go-on", () =>
  inHall(async ({ readers, run, next }) => {
    const first = run();
    for (let i = 0; i < 2; i++) {
      readers.insert("a", await old());
      await next(card);
      readers.remove("a");
    }
    const summary = await first;
    assert.equal(summary.stopped?.length, 1);
    await assert.rejects(
      run({ once: true }),
      (error) => error instanceof CodedError && error.code === "LINE_STOPPED",
    );
    readers.insert("a", await current());
    assert.equal((await run({ once: true, goOnAtStart: true })).attested, 1);
  }, ["a"]));

Deno.test("a station stops all its readers when failures are spread over them", () =>
  inHall(async ({ readers, run, next }) => {
    const first = run();
    await next((event) => event.event === "ready");
    // One at each reader, which no reader's own limit sees.
    for (const reader of ["a", "b", "c", "d"]) {
      readers.insert(reader, await old());
      await next(card);
    }
    const stop = await next(stopped) as Extract<StationEvent, { event: "stopped" }>;
    assert.equal(stop.reader, null);
    assert.equal((await first).stopped?.[0]?.reader, null);
  }, ["a", "b", "c", "d"]));

Deno.test("judgedOutcome() counts wrong keys and profiles, and not a card that is presented once more", () => {
  const outcome = (result: Parameters<typeof judgedOutcome>[0]["outcome"], reason: string | null) =>
    judgedOutcome({ outcome: result, reason });
  assert.equal(outcome("attested", null), "good");
  assert.equal(outcome("scrapped", "CARD_TEST_FAILED"), "scrapped");
  assert.equal(outcome("refused", "SCP03_CARD_CRYPTOGRAM"), "scrapped");
  assert.equal(outcome("refused", "PROFILE_CARD"), "scrapped");
  assert.equal(outcome("refused", "CARD_ALREADY_ATTESTED"), undefined);
  assert.equal(outcome("failed", "CARD_REMOVED"), undefined);
  assert.equal(outcome("failed", "CARD_STATUS_WORD"), undefined);
});

Deno.test("afterKey() G then Y, nothing less and nothing between", () => {
  const acts = (keys: string) => {
    let state: KeyState = "idle";
    return [...keys].map((key) => {
      const next = afterKey(state, key);
      state = next.state;
      return next.goOn;
    });
  };
  assert.deepEqual(acts("gy"), [false, true]);
  assert.deepEqual(acts("GY"), [false, true]);
  assert.deepEqual(acts("yg y"), [false, false, false, false]);
  assert.deepEqual(acts("gyy"), [false, true, false]);
});
