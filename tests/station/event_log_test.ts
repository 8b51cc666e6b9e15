/** A station and its log: no card is changed, and nothing goes on, without its entry. */

import assert from "node:assert/strict";
import { inProcessReaders } from "device/card/in_process_channel.ts";
import { runStation } from "factory/service/station/station.ts";
import { CodedError } from "shared/base/errors.ts";
import { type EventLog, NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import "shared/log/store/sqlite_sequence.ts";
import { type Line, makeLine, profileOf, TEST_CARD, VirtualCard } from "./bench_line.ts";

const PROFILE = profileOf("test-card");

/** A log that remembers what was entered, and takes nothing once it is full. */
function memoryLog(): EventLog & { full: boolean; entries: string[] } {
  const log = {
    ...NO_EVENT_LOG,
    full: false,
    entries: [] as string[],
    record: (
      event: string,
      { outcome = "done", subject }: { outcome?: string; subject?: { kind: string } },
    ) => {
      if (log.full) return Promise.reject(new CodedError("LOG_FILE", "Cannot append: the disk is full"));
      log.entries.push([event, outcome, subject?.kind].filter(Boolean).join(" "));
      return Promise.resolve();
    },
  };
  return log;
}

async function withLine(
  work: (line: Line, log: ReturnType<typeof memoryLog>) => Promise<void>,
): Promise<void> {
  const line = await makeLine(PROFILE);
  const log = memoryLog();
  Object.assign(line.context, { events: log });
  try {
    await work(line, log);
  } finally {
    await line.close();
  }
}

Deno.test("personalizeCard() changes nothing on a card whose entry cannot be written", async () => {
  await withLine(async (line, log) => {
    const card = await VirtualCard.open(TEST_CARD);
    log.full = true;
    const refused = await line.present(card);
    assert.deepEqual([refused.outcome, refused.reason], ["failed", "LOG_FILE"]);
    assert.equal(line.attestation.records.size, 0);
    log.full = false;
    const report = await line.present(card);
    assert.equal(report.outcome, "attested", report.message ?? "");
    assert.deepEqual(log.entries, ["station.card intended chip"]);
  });
});

Deno.test("runStation() enters its start, each card before and after, and stops when it cannot", async () => {
  await withLine(async (line, log) => {
    const readers = inProcessReaders(["Reader"]);
    readers.insert("Reader", await VirtualCard.open(TEST_CARD));
    const summary = await runStation({
      context: line.context,
      readers,
      once: true,
      finish: new AbortController().signal,
    });
    assert.equal(summary.attested, 1);
    assert.deepEqual(log.entries, [
      "station.ready done batch",
      "station.card intended chip",
      "station.card done card",
    ]);
    log.full = true;
    await assert.rejects(
      runStation({ context: line.context, readers, once: true, finish: new AbortController().signal }),
      { code: "LOG_FILE" },
    );
  });
});
