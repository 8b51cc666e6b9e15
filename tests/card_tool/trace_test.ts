/** Traces: secrets are hidden, `trace` explains, `replay` compares; recordings of the vectors replay too. */

import assert from "node:assert/strict";
import { RECORDED_CARD } from "device/card/testing/replay.ts";
import { bench, CAPS } from "./harness.ts";

const NEW_KEY = "C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF";
const VECTORS = new URL("../vectors/data/card/", import.meta.url).pathname;
const RECORDED_KEYS = JSON.stringify({
  version: "30",
  enc: "11".repeat(32),
  mac: "22".repeat(32),
  dek: "33".repeat(32),
});

Deno.test("a trace hides keys, personalization data, PINs and capsules, on the wire and before the channel", async () => {
  // Without C-ENC what the wire shows is what the command holds.
  await using b = await bench({ lifeCycle: "SECURED", preloaded: { package: {}, instance: {} } });
  const trace = `${b.folder}/trace.jsonl`;
  const fresh = b.file("new.json", JSON.stringify({ version: "31", key: NEW_KEY }));
  const secretBytes = "5EC2E75EC2E75EC2E7";
  const commands = b.file(
    "commands",
    [
      `80E2000009813706${secretBytes.slice(0, 12)}`,
      `0020008008${secretBytes.slice(0, 16)}`,
      `08D000000A${secretBytes}00`,
    ].join("\n"),
  );
  for (const level of ["01", "33"]) {
    const version = level === "01" ? "31" : "32";
    const put = await b.json(
      "keys",
      "put",
      "--new-keys",
      fresh,
      "--new-version",
      version,
      "--level",
      level,
      "--trace",
      trace,
    );
    assert.equal(put.code, 0, put.err);
    await b.json("apdu", "--file", commands, "--secure", "--level", level, "--trace", trace);
  }
  await b.run("apdu", "--file", commands, "--trace", trace);
  const text = await Deno.readTextFile(trace);
  assert.equal((await Deno.stat(trace)).mode! & 0o077, 0);
  for (const secret of [NEW_KEY, NEW_KEY.slice(8, 24), secretBytes.slice(0, 12), "40414243444546"]) {
    assert.ok(!text.toUpperCase().includes(secret), `${secret.slice(0, 4)}... is in the trace`);
  }
  const rows = text.trim().split("\n").map((line) => JSON.parse(line));
  const puts = rows.filter((row) => row.plain?.startsWith("80D8"));
  assert.equal(puts.length, 2);
  for (const row of puts) {
    assert.match(row.plain, /^80D80081..\[PUT KEY data: \d+ bytes hidden\]/);
    assert.match(row.sent, /^84D80081..\[PUT KEY data: \d+ bytes hidden\]/);
  }
  const shown = await b.run("trace", trace);
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /PUT KEY data: \d+ bytes hidden/);
  assert.match(shown.out, /9000: success/);
});

Deno.test("commands with secrets are not taken from the command line", async () => {
  await using b = await bench();
  const before = b.memory();
  for (const command of ["80D8008103310102", "80E2800003813701", "0020008004 31323334"]) {
    const { code, json } = await b.run("apdu", command, "--json");
    assert.deepEqual([code, json.error.code], [2, "CARDTOOL_SECRET_ARGUMENT"]);
  }
  assert.equal((await b.run("apdu", "80F2", "--json")).json.error.code, "APDU_MALFORMED");
  assert.equal((await b.run("apdu", "xx", "--json")).json.error.code, "BYTES_NOT_HEX");
  assert.equal(b.memory(), before);
});

Deno.test("apdu sends commands as they are, or through the channel, and explains the status word", async () => {
  await using b = await bench();
  const plain = await b.run("apdu", "80CA9F7F00");
  assert.match(plain.out, /^9F7F2A/);
  assert.match(plain.out, /9000: success/);
  assert.equal((await b.run("apdu", "80F28002024F00", "--json")).json.answers[0]!.sw, "6982");
  const secure = await b.json("apdu", "80F28002024F00", "--secure");
  assert.match(secure.json.answers[0]!.data, /^E3/);
});

Deno.test("a trace replays on the same card equal, and tells what differs on another one", async () => {
  await using b = await bench({
    cplc: "4790D6004700000000000100524947430001481260014812600148126001524947434812600152494743",
  });
  const trace = `${b.folder}/trace.jsonl`;
  await b.json("list", "--trace", trace);
  await b.json("load", `${CAPS}keycard_math.cap`, "--dry-run", "--trace", trace);
  const same = await b.json("replay", trace);
  assert.equal(same.code, 0, same.err);
  assert.equal(same.json.differing, 0);
  assert.ok(same.json.equal >= 5);
  const without = await b.run("replay", trace, "--json");
  assert.equal(without.code, 0);
  assert.ok(without.json.rows.some((row) => /needs --keys/.test(row.why ?? "")));
  await using other = await bench({ lifeCycle: "SECURED" });
  const differs = await other.json("replay", trace);
  assert.deepEqual([differs.code, differs.json.error.code], [5, "CARDTOOL_REPLAY_DIFFERS"]);
  assert.ok(differs.json.differing >= 2);
});

Deno.test("recordings of the vectors replay: sealed rows are skipped, what hangs on random numbers is told, the rest is equal", async (t) => {
  await using b = await bench(RECORDED_CARD);
  const keys = b.file("keys.json", RECORDED_KEYS);
  // In this order the second finds what the first wrote: rows equal, rows that differ.
  for (const [name, equal, differing] of [["a_personalization", 25, 0], ["b_backup", 6, 1]] as const) {
    await t.step(name, async () => {
      const file = `${VECTORS}${name}.json`;
      assert.equal((await b.run("trace", file)).code, 0);
      const before = b.memory();
      const dry = await b.run("replay", file, "--keys", keys, "--json", "--dry-run");
      assert.equal(dry.code, 0, dry.err);
      assert.equal(b.memory(), before);
      const { json } = await b.run("replay", file, "--keys", keys, "--json");
      assert.deepEqual([json.equal, json.differing], [equal, differing], JSON.stringify(json.rows));
      assert.equal((await b.run("list", "--keys", keys)).code, 0, "no authentication failed");
    });
  }
  for (const name of ["c_restore_manage", "e_pin_wipe", "d_errors"]) {
    await t.step(`${name} is read and planned`, async () => {
      const file = `${VECTORS}${name}.json`;
      assert.equal((await b.run("trace", file)).code, 0);
      assert.equal((await b.run("replay", file, "--keys", keys, "--dry-run")).code, 0);
    });
  }
});

Deno.test("what is no recording is refused", async (t) => {
  await using b = await bench();
  for (
    const [name, text] of Object.entries({
      empty: "",
      words: "hello",
      object: "{}",
      rows: '{"name":"x","exchanges":[{"step":1}]}',
      line: '{"kind":"exchange","step":"x","sent":"zz"}',
    })
  ) {
    await t.step(name, async () => {
      const { code, json } = await b.run("trace", b.file("r.json", text), "--json");
      assert.deepEqual([code, json.error.code], [3, "CARDTOOL_TRACE"]);
    });
  }
});
