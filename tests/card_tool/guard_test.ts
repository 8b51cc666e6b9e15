/** The guard: after a failed authentication no keys are tried on that chip, until a person says so. */

import assert from "node:assert/strict";
import { bench } from "./harness.ts";

const WRONG = JSON.stringify({ version: "30", key: "00112233445566778899AABBCCDDEEFF" });

Deno.test("after a failure no second key set is tried without --retry-authentication", async () => {
  await using b = await bench();
  const wrong = b.file("wrong.json", WRONG);
  const failed = await b.run("list", "--json", "--keys", wrong);
  assert.deepEqual([failed.code, failed.json.error.code], [5, "SCP03_CARD_CRYPTOGRAM"]);
  const before = b.memory();
  for (
    const args of [["list"], ["delete", "A0000001510000AA"], ["keys", "delete", "31"], ["list", "--dry-run"]]
  ) {
    const { code, json } = await b.json(...args);
    assert.deepEqual([code, json.error.code], [5, "CARDTOOL_GUARD"]);
    assert.ok(!json.error.message.includes("0011223344"));
  }
  assert.equal(b.memory(), before, "the card was asked nothing that counts");
  const diagnosis = await b.run("diagnose", "--json");
  assert.match(diagnosis.json.findings[0]!, /authentication failed at .*SCP03_CARD_CRYPTOGRAM/);
  assert.equal((await b.run("info", "--json")).json.authenticationFailure!.outcome, "SCP03_CARD_CRYPTOGRAM");
  assert.equal((await b.json("list", "--retry-authentication")).code, 0);
  assert.equal((await b.json("list")).code, 0, "a success clears the record");
});

Deno.test("the record is of the chip: another card in the same reader is not held back", async () => {
  await using b = await bench();
  await b.run("list", "--keys", b.file("wrong.json", WRONG));
  await using other = await bench();
  for await (const entry of Deno.readDir(`${b.folder}/state`)) {
    const { mode } = Deno.statSync(`${b.folder}/state/${entry.name}`);
    assert.equal(mode! & 0o077, 0);
    Deno.mkdirSync(`${other.folder}/state`, { recursive: true });
    Deno.copyFileSync(`${b.folder}/state/${entry.name}`, `${other.folder}/state/${entry.name}`);
  }
  assert.equal((await other.json("list")).code, 0);
  assert.equal((await b.json("list")).json.error.code, "CARDTOOL_GUARD");
});

Deno.test("a card pulled before it answered EXTERNAL AUTHENTICATE counts as unfinished", async () => {
  await using b = await bench();
  b.plan([{ kind: "after-execution", index: 3 }]);
  assert.equal((await b.json("list")).json.error.code, "CARD_REMOVED");
  const { json } = await b.json("list");
  assert.equal(json.error.code, "CARDTOOL_GUARD");
  assert.match(json.error.message, /did not finish/);
});

Deno.test("a damaged record holds the card back; EXTERNAL AUTHENTICATE by hand is held back too", async () => {
  await using b = await bench();
  await b.run("list", "--keys", b.file("wrong.json", WRONG));
  const raw = await b.run("apdu", "80503000080102030405060708", "8482000010" + "00".repeat(16), "--json");
  assert.equal(raw.json.error.code, "CARDTOOL_GUARD");
  for await (const entry of Deno.readDir(`${b.folder}/state`)) {
    Deno.writeTextFileSync(`${b.folder}/state/${entry.name}`, "{");
  }
  assert.equal((await b.json("list")).json.error.code, "CARDTOOL_RECORD");
});

Deno.test("a wrong EXTERNAL AUTHENTICATE by hand is put on record", async () => {
  await using b = await bench();
  const raw = await b.run("apdu", "80503000080102030405060708", "8482000010" + "00".repeat(16), "--json");
  assert.equal(raw.code, 0);
  assert.notEqual(raw.json.answers[1]!.sw, "9000");
  assert.equal((await b.json("list")).json.error.code, "CARDTOOL_GUARD");
});
