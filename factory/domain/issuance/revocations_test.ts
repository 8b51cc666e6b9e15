import assert from "node:assert/strict";
import { LIST_RENEWED_SECONDS, LIST_VALID_SECONDS, mayKeepList } from "./revocations.ts";

const NOW = 1_900_000_000;
const LIST = {
  number: NOW - 10,
  thisUpdate: NOW - 10,
  nextUpdate: NOW - 10 + LIST_VALID_SECONDS,
  entriesSha256: "A",
};
const made = (number: number) => ({
  kind: "make",
  number,
  thisUpdate: NOW,
  nextUpdate: NOW + LIST_VALID_SECONDS,
});

Deno.test("mayKeepList() keeps a list of the same content for a day", () => {
  assert.deepEqual(mayKeepList(LIST, "A", NOW), { kind: "keep" });
  const old = { ...LIST, thisUpdate: NOW - LIST_RENEWED_SECONDS };
  assert.deepEqual(mayKeepList({ ...old, thisUpdate: old.thisUpdate + 1 }, "A", NOW), { kind: "keep" });
  assert.deepEqual(mayKeepList(old, "A", NOW), made(NOW));
  assert.deepEqual(mayKeepList(LIST, "B", NOW), made(NOW));
  assert.deepEqual(mayKeepList(undefined, "A", NOW), made(NOW));
});

Deno.test("mayKeepList() numbers grow, whatever the clock says", () => {
  assert.deepEqual(mayKeepList({ ...LIST, number: NOW }, "B", NOW), made(NOW + 1));
  const ahead = { ...LIST, number: NOW + 500, thisUpdate: NOW + 500 };
  assert.deepEqual(mayKeepList(ahead, "A", NOW), made(NOW + 501));
});
