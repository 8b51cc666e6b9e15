import { equal, match, ok } from "node:assert/strict";
import { loadVector } from "tests/vectors/load.ts";
import { describeStatus, formatStatus, statusTable, statusWord, SW } from "./status_words.ts";

Deno.test("describeStatus() gives digits, meaning and source", () => {
  equal(describeStatus(0x9000), "9000: success (GPC 2.3.1, table 11-10)");
  match(describeStatus(0x63c2), /^63C2: verification failed, 2 tries left/);
  match(describeStatus(0x63c1), /1 try left/);
  match(describeStatus(0x6100), /^6100: 256 more bytes wait/);
  match(describeStatus(0x6c20), /32 bytes are there/);
  match(describeStatus(0x1234), /^1234: status word of the card's maker/);
  equal(formatStatus(0x6a), "006A");
});

Deno.test("statusWord() every named status word has meaning, source and next step of its own or its family", () => {
  for (const [name, sw] of Object.entries(SW)) {
    const row = statusWord(sw);
    ok(!row.meaning.includes("maker"), name);
    ok(row.source.length > 0 && row.next.length > 0, name);
  }
  for (const row of statusTable().values()) ok(row.meaning && row.source && row.next);
});

Deno.test("statusWord() knows every status word of the recordings", () => {
  const names = ["a_personalization", "b_backup", "c_restore_manage", "d_errors", "e_pin_wipe"];
  for (const name of names) {
    const { exchanges } = loadVector<{ exchanges: { sw: string }[] }>(`card/${name}.json`);
    for (const { sw } of exchanges) {
      if (/^[0-9A-F]{4}$/.test(sw)) ok(!statusWord(parseInt(sw, 16)).meaning.includes("maker"), sw);
    }
  }
});
