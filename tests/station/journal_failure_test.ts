/** The journal fails, or the station is killed, at every point where it writes: no card is lost, none gets two serials. */

import assert from "node:assert/strict";
import { inProcessReaders } from "device/card/in_process_channel.ts";
import { CodedError } from "shared/base/errors.ts";
import { runStation } from "factory/service/station/station.ts";
import type { Journal } from "factory/transport/journal/port.ts";
import { openJournal } from "factory/transport/journal/sqlite.ts";
import { AttestationDouble } from "./attestation_double.ts";
import { type Line, makeLine, profileOf, VirtualCard } from "./bench_line.ts";

const PROFILE = profileOf("recovery-key", (profile) => {
  profile.anonymousChips = false;
  profile.expectedCplc = null;
});
const blank = (number: number) =>
  VirtualCard.open({ keyDiversificationData: number.toString(16).padStart(20, "0") });

/** A journal that stops accepting at its n-th call that writes, for good, as a full disk does. */
function failing(
  journal: Journal,
  after: number,
  onFailure: () => void = () => {},
): Journal & { points: number } {
  let points = 0;
  const full = new CodedError("JOURNAL_UNUSABLE", "Cannot write journal: database or disk is full");
  const passes = () => {
    if (points++ < after) return true;
    if (points === after + 1) onFailure();
    return false;
  };
  const check = <T>(work: () => T): T => {
    if (!passes()) throw full;
    return work();
  };
  return {
    get points() {
      return points;
    },
    find: (chip, serial) => journal.find(chip, serial),
    begin: (card) => check(() => journal.begin(card)),
    change: (id, change) => check(() => journal.change(id, change)),
    note: (step) => check(() => journal.note(step)),
    steps: (id) => journal.steps(id),
    unfinished: () => journal.unfinished(),
    block: (chip, code, at) => check(() => journal.block(chip, code, at)),
    blocked: (chip) => journal.blocked(chip),
    unblock: (chip) => check(() => journal.unblock(chip)),
    stop: (stop) => check(() => journal.stop(stop)),
    stops: () => journal.stops(),
    release: (scope) => check(() => journal.release(scope)),
    flush: () => passes() ? journal.flush() : Promise.reject(full),
    ready: () => passes() ? journal.ready() : Promise.reject(full),
    close: () => journal.close(),
  };
}

async function withService(work: (service: AttestationDouble) => Promise<void>): Promise<void> {
  const service = new AttestationDouble();
  service.distinctChips = true;
  await work(service);
  const serials = [...service.records.values()].map(({ serial }) => serial.toHex());
  assert.equal(new Set(serials).size, serials.length, "a serial twice");
  assert.deepEqual([...new Set([...service.records.values()].map(({ state }) => state))], ["good"]);
}

async function onLine<T>(
  service: AttestationDouble,
  path: string,
  work: (line: Line) => Promise<T>,
): Promise<T> {
  const line = await makeLine(PROFILE, { attestation: service, journalPath: path });
  Object.assign(line.context.batch, { lastSerial: "0000FFFF" });
  try {
    return await work(line);
  } finally {
    await line.close().catch(() => {});
  }
}

/** Points at which a whole run writes. */
async function pointsOf(service: AttestationDouble, path: string): Promise<number> {
  return await onLine(service, path, async (line) => {
    const journal = failing(line.journal, Infinity);
    const readers = inProcessReaders(["a"]);
    readers.insert("a", await blank(1));
    const summary = await runStation({
      context: { ...line.context, journal },
      readers,
      once: true,
      finish: new AbortController().signal,
    });
    assert.equal(summary.attested, 1);
    await readers.close();
    return journal.points;
  });
}

Deno.test("a journal that is full from its n-th write on: the station ends with JOURNAL_UNUSABLE, and the card goes on with a new one", () =>
  withService(async (service) => {
    const folder = await Deno.makeTempDir({ prefix: "full-" });
    try {
      const points = await pointsOf(service, `${folder}/whole.sqlite`);
      assert.ok(points > 30, `${points} points`);
      for (let after = 0; after < points; after++) {
        const path = `${folder}/${after}.sqlite`;
        const card = await blank(after + 2);
        await onLine(service, path, async (line) => {
          const readers = inProcessReaders(["a"]);
          const sent = readers.insert("a", card);
          await assert.rejects(
            runStation({
              context: { ...line.context, journal: failing(line.journal, after) },
              readers,
              once: true,
              finish: new AbortController().signal,
            }),
            { code: "JOURNAL_UNUSABLE" },
            `point ${after}`,
          );
          // The pulse and what the run writes before its first card come first.
          if (after === 0) assert.equal(sent.apdus, 0, "the card was touched");
          await readers.close();
        });
        const report = await onLine(service, path, (line) => line.present(card));
        const finished = report.outcome === "attested" || report.reason === "CARD_ALREADY_ATTESTED";
        assert.ok(
          finished,
          `point ${after} of ${points}: ${report.outcome} ${report.reason} ${report.message}`,
        );
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }));

Deno.test("kill -9 at every point where the journal is written leaves one that opens and goes on", () =>
  withService(async (service) => {
    const folder = await Deno.makeTempDir({ prefix: "killed-" });
    try {
      const points = await pointsOf(service, `${folder}/whole.sqlite`);
      for (let after = 0; after < points; after++) {
        const path = `${folder}/${after}.sqlite`;
        const card = await blank(after + 2);
        // What is in the files at this moment is what a killed process leaves; nothing of its memory gets there later.
        await onLine(service, path, async (line) => {
          const journal = failing(line.journal, after, () => {
            for (const end of ["", "-wal"]) {
              if (exists(path + end)) Deno.copyFileSync(path + end, `${path}.left${end}`);
            }
          });
          const readers = inProcessReaders(["a"]);
          readers.insert("a", card);
          const context = { ...line.context, journal };
          await runStation({ context, readers, once: true, finish: new AbortController().signal }).catch(
            () => {},
          );
          await readers.close();
        });
        const report = await onLine(service, `${path}.left`, (line) => line.present(card));
        const finished = report.outcome === "attested" || report.reason === "CARD_ALREADY_ATTESTED";
        assert.ok(
          finished,
          `point ${after} of ${points}: ${report.outcome} ${report.reason} ${report.message}`,
        );
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }));

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A real file system of 512 kB where this user may mount one. */
async function smallDisk(folder: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=512k", "tmpfs", folder],
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}

Deno.test("a disk that is really full: nothing begins, what was flushed is there when there is room again", async () => {
  const folder = await Deno.makeTempDir({ prefix: "small-disk-" });
  const mounted = await smallDisk(folder);
  try {
    const path = `${folder}/journal.sqlite`;
    let journal = openJournal(path);
    const kept = journal.begin({ chip: "kept", batch: "b", reader: "r", startedAt: 1 });
    await journal.flush();
    let lost: unknown;
    if (mounted) fill(`${folder}/ballast`);
    try {
      // Without a disk of its own SQLite itself is told to have no more pages: the same failure at the same place.
      if (!mounted) await journal.close();
      journal = mounted ? journal : openJournal(path, { pagesMax: 24 });
      for (let i = 0; i < 5_000; i++) {
        journal.note({ card: kept.id, step: "look", state: "done", note: "x".repeat(500), at: i });
        await journal.flush();
      }
    } catch (error) {
      lost = error;
    }
    assert.ok(lost instanceof CodedError && lost.code === "JOURNAL_UNUSABLE", String(lost));
    // Nothing is added to what failed.
    await assert.rejects(journal.ready(), { code: "JOURNAL_UNUSABLE" });
    assert.throws(() => journal.begin({ chip: "late", batch: "b", reader: "r", startedAt: 2 }), {
      code: "JOURNAL_UNUSABLE",
    });
    await journal.close();
    if (mounted) Deno.removeSync(`${folder}/ballast`);
    journal = openJournal(path);
    assert.equal(journal.find("kept")?.id, kept.id);
    assert.equal(journal.find("late"), undefined);
    await journal.ready();
    await journal.close();
  } finally {
    if (mounted) await new Deno.Command("umount", { args: [folder] }).output();
    await Deno.remove(folder, { recursive: true });
  }
});

/** Takes all the room that is left. */
function fill(path: string): void {
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    for (const size of [4096, 512, 1]) {
      try {
        for (;;) if (file.writeSync(new Uint8Array(size)) === 0) break;
      } catch {
        // Full.
      }
    }
  } finally {
    file.close();
  }
}
