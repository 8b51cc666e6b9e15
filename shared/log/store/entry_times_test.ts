import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { openLogFixture, readLog } from "tests/environment/log/fixture.ts";
import { EntryTimes, TIME_TOLERANCE_MS, type TimeBack } from "./entry_times.ts";

const timeOf = (entry: Uint8Array) => {
  const time = Number(fromUtf8(entry));
  return Number.isNaN(time) ? undefined : time;
};
const entries = (...times: (number | string)[]) => times.map((time) => toUtf8(String(time)));

Deno.test("EntryTimes tells a clock that was set back, once, and lets pass what commits at once", () => {
  const times = new EntryTimes(timeOf);
  const hour = 3_600_000;
  assert.deepEqual(times.next(entries(10 * hour, 10 * hour - TIME_TOLERANCE_MS, "no time"), 0), []);
  const back: TimeBack = { index: 3, timeMs: 9 * hour, latestMs: 10 * hour };
  assert.deepEqual(times.next(entries(9 * hour, 9 * hour + 1, 9 * hour + 2), 3), [back]);
  assert.deepEqual(times.next(entries(8 * hour), 6), [{ index: 6, timeMs: 8 * hour, latestMs: 10 * hour }]);
  assert.deepEqual(times.next(entries(11 * hour, 12 * hour), 7), []);
  assert.equal(times.next(entries(11 * hour), 9).length, 1);
});

Deno.test("a clock set back is told, also across a restart, and the entry stays as it is", async () => {
  await using fixture = await openLogFixture("PostgreSQL");
  const found: TimeBack[] = [];
  const now = 1_800_000_000_000;
  for (const times of [[now, now + 1], [now - 3_600_000]]) {
    const log = await fixture.open({ timeOf, onTimeBack: (back) => found.push(back) });
    log.start();
    for (const time of times) await log.included(await log.append(toUtf8(String(time))), 60_000);
    await log.stop();
  }
  assert.deepEqual(found, [{ index: 2, timeMs: now - 3_600_000, latestMs: now + 1 }]);
  const read = await readLog(await fixture.tiles());
  assert.deepEqual(read.entries.map(timeOf), [now, now + 1, now - 3_600_000]);
});
