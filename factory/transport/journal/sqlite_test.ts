import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { CodedError } from "shared/base/errors.ts";
import { JOURNAL_VERSIONS } from "./schema.ts";
import { openJournal } from "./sqlite.ts";

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "journal-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const CARD = { chip: "00:AA", batch: "b-1", reader: "reader 1", startedAt: 1_000 };

Deno.test("openJournal() finds what was written, by chip and by serial", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal.sqlite`;
    let journal = openJournal(path);
    const first = journal.begin(CARD);
    journal.change(first.id, {
      serial: "00000001",
      reservation: "r-1",
      state: "scrapped",
      reason: "CARD_TEST_FAILED",
    });
    const second = journal.begin(CARD);
    journal.change(second.id, { serial: "00000002", reservation: "r-2" });
    journal.note({ card: second.id, step: "reserve", state: "done", note: null, at: 5 });
    journal.note({ card: second.id, step: "create-key", state: "begun", note: "41AB", at: 6 });
    await journal.close();

    journal = openJournal(path);
    assert.equal(journal.find("00:AA")?.serial, "00000002");
    assert.equal(journal.find("00:AA")?.step, "reserve");
    assert.equal(journal.find("00:AA", "00000001")?.reason, "CARD_TEST_FAILED");
    assert.equal(journal.find("00:BB"), undefined);
    assert.deepEqual(journal.unfinished().map(({ serial }) => serial), ["00000001", "00000002"]);
    assert.deepEqual(journal.steps(second.id).map(({ step, note }) => [step, note]), [["reserve", null], [
      "create-key",
      "41AB",
    ]]);
    journal.block("00:AA", "SCP03_CARD_CRYPTOGRAM", 7);
    assert.equal(journal.blocked("00:AA"), "SCP03_CARD_CRYPTOGRAM");
    journal.unblock("00:AA");
    assert.equal(journal.blocked("00:AA"), undefined);
    assert.equal(Deno.statSync(path).mode! & 0o077, 0);
    await journal.close();
  }));

Deno.test("openJournal() a chip is worked on once at a time", () =>
  withFolder(async (folder) => {
    const journal = openJournal(`${folder}/journal.sqlite`);
    journal.begin(CARD);
    assert.throws(() => journal.begin(CARD), /UNIQUE/);
    await journal.close();
  }));

Deno.test("openJournal() a second process is kept out; a file that is none is told", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal.sqlite`;
    const journal = openJournal(path);
    assert.throws(
      () => openJournal(path),
      (error) => error instanceof CodedError && error.code === "JOURNAL_LOCKED",
    );
    await journal.close();
    Deno.writeTextFileSync(
      `${folder}/other`,
      "this is no database, and long enough to be looked at as one ".repeat(20),
    );
    assert.throws(
      () => openJournal(`${folder}/other`),
      (error) => error instanceof CodedError && error.code === "JOURNAL_CORRUPT",
    );
  }));

Deno.test("flush() what it resolved for survives kill -9", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal.sqlite`;
    const script = `
      import { openJournal } from ${JSON.stringify(new URL("./sqlite.ts", import.meta.url).href)};
      const journal = openJournal(${JSON.stringify(path)});
      for (let i = 1;; i++) {
        const card = journal.begin({ chip: "chip " + i, batch: "b", reader: "r", startedAt: i });
        journal.note({ card: card.id, step: "reserve", state: "done", note: null, at: i });
        await journal.flush();
        console.log(i);
      }`;
    const file = `${folder}/writer.ts`;
    await Deno.writeTextFile(file, script);
    const config = new URL("../../../deno.json", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--quiet", `--config=${config}`, file],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let told = 0;
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      told = Math.max(
        told,
        ...decoder.decode(chunk, { stream: true }).trim().split("\n").map(Number).filter(Number.isFinite),
      );
      if (told >= 40) break;
    }
    child.kill("SIGKILL");
    await child.status;
    const journal = openJournal(path);
    for (let i = 1; i <= told; i++) {
      assert.equal(journal.find(`chip ${i}`)?.step, "reserve", `card ${i} of ${told}`);
    }
    await journal.close();
  }));

Deno.test("openJournal() a journal of version 1 is brought up to date with its cards; a later version is refused", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal.sqlite`;
    let database = new DatabaseSync(path);
    database.exec(`${JOURNAL_VERSIONS[0]} PRAGMA user_version = 1;`);
    database.exec(
      "INSERT INTO cards (chip, batch, state, presentations, apdus, failures, closed, reader, started_at) " +
        "VALUES ('00:AA', 'b-1', 'open', 1, 20, 0, 0, 'r', 5)",
    );
    database.close();
    const journal = openJournal(path);
    assert.deepEqual([journal.find("00:AA")?.attempts, journal.find("00:AA")?.lifeCycle], [0, 0]);
    journal.stop({ scope: "", reason: "why", at: 7 });
    assert.deepEqual(journal.stops().map(({ reason }) => reason), ["why"]);
    await journal.close();
    database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    assert.throws(() => openJournal(path), { code: "JOURNAL_UNUSABLE" });
  }));

Deno.test("openJournal() a damaged journal is told, kept, and not written to", () =>
  withFolder(async (folder) => {
    const path = `${folder}/journal.sqlite`;
    const journal = openJournal(path);
    for (let i = 0; i < 200; i++) journal.begin({ ...CARD, chip: `chip ${i}` });
    await journal.close();
    const bytes = Deno.readFileSync(path);
    bytes.fill(0x5a, 4096, bytes.length - 4096);
    Deno.writeFileSync(path, bytes);
    assert.throws(() => openJournal(path), { code: "JOURNAL_CORRUPT" });
    assert.deepEqual(Deno.readFileSync(path).slice(4096, 8192), bytes.slice(4096, 8192));
  }));

Deno.test("openJournal() a folder that may not be written is told", () =>
  withFolder((folder) => {
    Deno.mkdirSync(`${folder}/journal.sqlite`);
    assert.throws(() => openJournal(`${folder}/journal.sqlite`), { code: "JOURNAL_UNUSABLE" });
    return Promise.resolve();
  }));
