import assert from "node:assert/strict";
import { CSV_COLUMNS, CSV_HEADER, csvCell, csvLine, isInsideQuotes, recordOfCsvLine } from "./csv.ts";
import { cardRecord } from "tests/environment/batch_export.ts";

Deno.test("csvCell() quotes what RFC 4180 wants quoted and disarms formulas", () => {
  const cells: readonly (readonly [Parameters<typeof csvCell>[0], string])[] = [
    [null, ""],
    [61, "61"],
    [true, "true"],
    ["ada", "ada"],
    ["a,b", '"a,b"'],
    ['say "no"', '"say ""no"""'],
    ["two\nlines", '"two\nlines"'],
    ["two\r\nlines", '"two\r\nlines"'],
    ["=1+1", "'=1+1"],
    ["+49 30", "'+49 30"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["  =1", "'  =1"],
    ["\r=1", '"\'\r=1"'],
    ["\uFF1D1", "'\uFF1D1"],
    ['=HYPERLINK("a","b")', `"'=HYPERLINK(""a"",""b"")"`],
    ["a=1", "a=1"],
  ];
  for (const [value, cell] of cells) assert.equal(csvCell(value), cell);
});

Deno.test("csvLine() has a cell for each column, and the signed record last", () => {
  const line = csvLine(cardRecord(3, { operator: "ada", reader: "A" }), "aa.bb.cc");
  assert.equal(line.split(",").length, CSV_COLUMNS.length);
  assert.ok(line.endsWith("\r\n") && CSV_HEADER.endsWith("record\r\n"));
  assert.equal(recordOfCsvLine(line), "aa.bb.cc");
  assert.equal(isInsideQuotes('a,"b'), true);
  assert.equal(isInsideQuotes('a,"b""c",d'), false);
});
