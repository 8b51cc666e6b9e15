import assert from "node:assert/strict";
import { DIFFERENCES } from "./differences.ts";
import { type JournalFact, reconcile, type Reconciliation, type ServiceCard } from "./reconcile.ts";

const A = "7F000001";
const card = (
  state: ServiceCard["state"],
  serial = A,
  certificateSha256: string | null = "CC",
): ServiceCard => ({
  serial,
  state,
  station: "line-1",
  certificateSha256,
});
const fact = (
  state: JournalFact["state"],
  serial = A,
  certificateSha256: string | null = "CC",
): JournalFact => ({
  journal: "line-1.sqlite",
  serial,
  state,
  certificateSha256,
  reader: "left",
});
const codes = (change: Partial<Reconciliation>) =>
  reconcile({ service: [], journals: [], journalsComplete: false, counted: [], places: [], ...change })
    .map(({ code }) => code);

Deno.test("reconcile() every state of the service against every word of a journal", () => {
  const states = ["reserved", "key-seen", "attested", "installed", "good", "scrapped", "missing"] as const;
  const walked = states.flatMap((state) =>
    (["open", "good", "scrapped"] as const).map((word) =>
      `${state}/${word}: ${codes({ service: [card(state)], journals: [fact(word)] }).join() || "agree"}`
    )
  );
  assert.deepEqual(walked, [
    ...["reserved", "key-seen", "attested", "installed"].flatMap((state) => [
      `${state}/open: IN_FLIGHT`,
      `${state}/good: NOT_TOLD`,
      `${state}/scrapped: NOT_TOLD`,
    ]),
    "good/open: agree",
    "good/good: agree",
    "good/scrapped: OUTCOME_DIFFERS",
    "scrapped/open: agree",
    "scrapped/good: OUTCOME_DIFFERS",
    "scrapped/scrapped: agree",
    "missing/open: agree",
    "missing/good: MISSING_ENDED",
    "missing/scrapped: MISSING_ENDED",
  ]);
});

Deno.test("reconcile() certificates, lost records, lost journals, the last word of each journal", () => {
  assert.deepEqual(codes({ service: [card("good")], journals: [fact("good", A, "DD")] }), [
    "CERTIFICATE_DIFFERS",
  ]);
  assert.deepEqual(codes({ journals: [fact("open")] }), ["SERVICE_LOST"]);
  assert.deepEqual(codes({ service: [card("good")], journalsComplete: true }), ["NO_JOURNAL"]);
  assert.deepEqual(codes({ service: [card("good")] }), [], "without journals nothing is said of them");
  assert.deepEqual(codes({ service: [card("good")], journals: [fact("scrapped"), fact("good")] }), []);
  const other = { ...fact("open"), journal: "line-2.sqlite" };
  assert.deepEqual(codes({ service: [card("good")], journals: [other, fact("good")] }), []);
});

Deno.test("reconcile() counts", () => {
  const good = { place: "good", serial: A } as const;
  const box = { place: "scrapped", serial: A } as const;
  const both = ["good", "scrapped"] as const;
  assert.deepEqual(codes({ service: [card("good")], counted: [good], places: both }), []);
  assert.deepEqual(codes({ service: [card("scrapped")], counted: [box], places: both }), []);
  assert.deepEqual(codes({ service: [card("good")], places: both }), ["GOOD_NOT_COUNTED"]);
  assert.deepEqual(codes({ service: [card("scrapped")], places: both }), ["SCRAPPED_NOT_COUNTED"]);
  assert.deepEqual(codes({ service: [card("good")], places: ["scrapped"] }), [], "the tray was not counted");
  assert.deepEqual(codes({ service: [card("scrapped")], counted: [good], places: both }), [
    "COUNTED_NOT_GOOD",
  ]);
  assert.deepEqual(codes({ service: [card("good")], counted: [box], places: both }), [
    "COUNTED_NOT_SCRAPPED",
  ]);
  assert.deepEqual(codes({ service: [card("attested")], counted: [good], places: both }), [
    "COUNTED_NOT_GOOD",
  ]);
  assert.deepEqual(codes({ service: [card("missing")], counted: [good], places: both }), ["MISSING_FOUND"]);
  assert.deepEqual(codes({ service: [card("good")], counted: [good, good], places: both }), [
    "COUNTED_TWICE",
  ]);
  assert.deepEqual(codes({ service: [card("good")], counted: [good, box], places: both }), [
    "COUNTED_TWICE",
    "COUNTED_NOT_SCRAPPED",
  ]);
  assert.deepEqual(codes({ counted: [good], places: both }), ["COUNTED_STRANGE"]);
});

Deno.test("reconcile() tells what to do, in the order of the serials", () => {
  const found = reconcile({
    service: [card("good", "7F000003"), card("reserved", "7F000001")],
    journals: [fact("open", "7F000001")],
    journalsComplete: false,
    counted: [{ place: "good", serial: "7F000002" }],
    places: ["good"],
  });
  assert.deepEqual(found.map(({ serial, code }) => [serial, code]), [
    ["7F000001", "IN_FLIGHT"],
    ["7F000002", "COUNTED_STRANGE"],
    ["7F000003", "GOOD_NOT_COUNTED"],
  ]);
  for (const { code, next } of found) assert.equal(next, DIFFERENCES[code]);
});
