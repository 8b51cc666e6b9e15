import assert from "node:assert/strict";
import { codeOf } from "shared/base/errors.ts";
import { countedSerials } from "./counted_list.ts";

Deno.test("countedSerials() reads what scanners and spreadsheets write", () => {
  const text = '\uFEFFserial,when\r\n7f000001,08:00\r\n"0x7F000002";x\n\n7F000003\t\n7F000001\r\n';
  assert.deepEqual(countedSerials("list", text), ["7F000001", "7F000002", "7F000003", "7F000001"]);
  assert.deepEqual(countedSerials("list", ""), []);
});

Deno.test("countedSerials() loses no line", () => {
  for (
    const text of [
      "serial\n7F00001\n",
      "7F000001\nserial\n",
      "serial\n,7F000001\n",
      "7F0000010\n",
      "2130706433\n",
    ]
  ) {
    assert.throws(() => countedSerials("list", text), (error) => codeOf(error) === "COUNTED_LIST", text);
  }
});
