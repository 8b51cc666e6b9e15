import assert from "node:assert/strict";
import type { CardReport, StationEvent } from "../../service/station/events.ts";
import { plainLine } from "./live_screen.ts";
import { afterEvent, EMPTY_VIEW } from "./model.ts";
import { footer, renderStation } from "./render.ts";

const report = (change: Partial<CardReport>): CardReport => ({
  serial: "0000002A",
  outcome: "attested",
  reader: "reader 1",
  apdus: 59,
  milliseconds: 1234,
  cardMilliseconds: 1200,
  certificateSha256: "AB".repeat(32),
  reason: null,
  message: null,
  next: null,
  step: null,
  ...change,
});
const FAILED = report({
  reader: "reader 2",
  outcome: "refused",
  reason: "PROFILE_CARD",
  message: "Cannot use card: its icType is 1234\x1b[2J",
  next: "Take it off.",
  step: "look",
});

const EVENTS: StationEvent[] = [
  { event: "ready", batch: "b-1", readers: ["reader 1", "reader 2"] },
  { event: "card-inserted", reader: "reader 1" },
  {
    event: "step",
    reader: "reader 1",
    step: "prove",
    words: "proving",
    position: 9,
    steps: 11,
    serial: "0000002A",
  },
  { event: "card", card: report({}) },
  { event: "card", card: FAILED },
];
const view = EVENTS.reduce((now, event) => afterEvent(now, event, 0), EMPTY_VIEW);

Deno.test("renderStation() fits the terminal, large and small, with colour and without", () => {
  for (const [columns, rows] of [[110, 45], [80, 24], [40, 10], [20, 6]] as const) {
    for (const color of [true, false]) {
      const text = renderStation(view, { columns, rows, color });
      const lines = text.split("\n");
      assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`);
      for (const line of lines) {
        // deno-lint-ignore no-control-regex -- styles are taken out before lines are measured
        const bare = line.replace(/\x1b\[[0-9;]*m/g, "");
        assert.ok([...bare].length <= columns, `${[...bare].length} columns of ${columns}`);
        assert.ok(!bare.includes("\x1b"), "a control character of a message reached the screen");
      }
      assert.equal(text.includes("\x1b["), color);
    }
  }
});

Deno.test("renderStation() says done, failed and what to do", () => {
  const small = renderStation(view, { columns: 80, rows: 12, color: false });
  assert.match(small, /DONE {3}take the card off/);
  assert.match(small, /FAILED Cannot use card/);
  const colored = renderStation(view, { columns: 110, rows: 45, color: true });
  assert.ok(colored.includes("\x1b[1;30;42m") && colored.includes("\x1b[1;97;41m"));
  assert.match(colored, /Take it off\./);
});

Deno.test("footer() counts and yield", () => {
  assert.match(footer(view), /attested 1 · scrapped 0 · refused 1 · again 0 · yield 100\.0 %/);
});

Deno.test("plainLine() one line for what matters", () => {
  assert.equal(plainLine(EVENTS[3]!), "reader 1: DONE serial 0000002A (1.2 s, 59 APDUs)");
  assert.match(plainLine(EVENTS[4]!)!, /REFUSED .*at look: .*\[PROFILE_CARD\]\n {4}Take it off\./);
  assert.ok(!plainLine(EVENTS[4]!)!.includes("\x1b"));
});
