import assert from "node:assert/strict";
import fc from "fast-check";
import { ChunkedReader } from "./chunked.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Reads a text in pieces that end at the given places. */
function read(
  text: string,
  cuts: readonly number[] = [],
): { body: string; end: "whole" | "fault" | "open"; rest: number } {
  const input = bytes(text);
  const reader = new ChunkedReader();
  const places = [
    0,
    ...[...new Set(cuts)].map((cut) => cut % (input.length + 1)).sort((a, b) => a - b),
    input.length,
  ];
  let body = "";
  for (let i = 1; i < places.length; i++) {
    for (const piece of reader.read(input.subarray(places[i - 1], places[i]))) {
      if (piece.kind === "data") body += new TextDecoder().decode(piece.bytes);
      else if (piece.kind === "fault") return { body, end: "fault", rest: 0 };
      else return { body, end: "whole", rest: piece.rest + input.length - places[i]! };
    }
  }
  return { body, end: "open", rest: 0 };
}

Deno.test("ChunkedReader reads the same however the input is cut", () => {
  const text = "4;a=b\r\nwiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  fc.assert(fc.property(fc.array(fc.nat(), { maxLength: 30 }), (cuts) => {
    assert.deepEqual(read(text, cuts), { body: "wikipedia in\r\n\r\nchunks.", end: "whole", rest: 4 });
  }));
});

Deno.test("ChunkedReader ends at the empty line, with and without trailers", () => {
  assert.deepEqual(read("0\r\n\r\n"), { body: "", end: "whole", rest: 0 });
  assert.deepEqual(read("0\r\nA: b\r\nC: d\r\n\r\n"), { body: "", end: "whole", rest: 0 });
  for (const open of ["", "5", "5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n", "0\r\n", "0\r\nA: b\r\n"]) {
    assert.equal(read(open).end, "open", JSON.stringify(open));
  }
});

Deno.test("ChunkedReader refuses what is doubtful", () => {
  for (
    const bad of [
      "\r\n",
      "x\r\n",
      "0x2\r\nab\r\n",
      "-1\r\n",
      "2\nab\r\n",
      "2\r\nabc\r\n",
      "2\r\nab0\r\n\r\n",
      " 2\r\nab\r\n",
      "fffffffffffff\r\n",
      `2;${"x".repeat(5_000)}`,
      `0\r\n${"A: b\r\n".repeat(1_000)}`,
      "0\r\nA: b\n\r\n",
    ]
  ) assert.equal(read(bad).end, "fault", JSON.stringify(bad.slice(0, 30)));
});
