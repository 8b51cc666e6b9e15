import assert from "node:assert/strict";
import { codeOf } from "../../base/errors.ts";
import { toUtf8 } from "../../base/bytes.ts";
import { type Evidence, EVIDENCE_FORMAT, formatEvidence, judgeEvidence, parseEvidence } from "./evidence.ts";
import { TestLog } from "./testing/test_log.ts";

const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 20);
const FORK = new TestLog(ORIGIN, 20, "other", 1, 3);
const STRANGER = new TestLog(ORIGIN, 20, "other", 8);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function evidence(kind: Evidence["kind"], parts: Partial<Evidence> = {}): Promise<Evidence> {
  return {
    format: EVIDENCE_FORMAT,
    kind,
    origin: ORIGIN,
    logKeys: [LOG.key.vkey],
    first: text(await LOG.note(7)),
    second: text(await FORK.note(7)),
    proof: [],
    tiles: [],
    witness: LOG.key.vkey,
    foundAt: "2026-01-02T03:04:05.678Z",
    ...parts,
  };
}

const historyParts = async (): Promise<Partial<Evidence>> => ({
  second: text(await FORK.note(12)),
  proof: FORK.proof(7, 12).map((hash) => hash.toBase64()),
  rootInSecond: FORK.root(7).toBase64(),
});

Deno.test("evidence survives writing and reading, and is judged from the file alone or with the reader's keys", async () => {
  for (const made of [await evidence("two-roots"), await evidence("other-history", await historyParts())]) {
    const read = parseEvidence(formatEvidence(made));
    assert.deepEqual(read, made);
    const own = await judgeEvidence(read);
    assert.equal(own.verdict, "proven");
    assert.equal(own.signedBy.length, 1);
    assert.equal((await judgeEvidence(read, [LOG.key.vkey])).verdict, "proven");
    assert.equal((await judgeEvidence(read, [STRANGER.key.vkey])).verdict, "forged");
  }
});

Deno.test("forged evidence is called forged", async (t) => {
  const history = await historyParts();
  const cases: Record<string, Evidence> = {
    "second signed by another key": await evidence("two-roots", { second: text(await STRANGER.note(7)) }),
    "a changed root": await evidence("two-roots", {
      second: text(await LOG.note(7)).replace(LOG.root(7).toBase64(), LOG.root(6).toBase64()),
    }),
    "twice the same": await evidence("two-roots", { second: text(await LOG.note(7)) }),
    "two sizes": await evidence("two-roots", { second: text(await LOG.note(8)) }),
    "another log's checkpoint": await evidence("two-roots", {
      second: text(await new TestLog("log.example/b", 20).note(7)),
    }),
    "no first checkpoint": await evidence("two-roots", { first: undefined as unknown as string }),
    "a proof that does not lead there": await evidence("other-history", { ...history, proof: [] }),
    "an honest history": await evidence("other-history", {
      second: text(await LOG.note(12)),
      proof: LOG.proof(7, 12).map((hash) => hash.toBase64()),
      rootInSecond: LOG.root(7).toBase64(),
    }),
    "an invented root": await evidence("other-history", { ...history, rootInSecond: LOG.root(6).toBase64() }),
    "no root": await evidence("other-history", { ...history, rootInSecond: undefined as unknown as string }),
    "growth that is proven": await evidence("unproven-growth", {
      second: text(await LOG.note(12)),
      proof: LOG.proof(7, 12).map((hash) => hash.toBase64()),
    }),
    "not smaller": await evidence("went-back", { second: text(await LOG.note(12)) }),
    "no tiles": await evidence("tiles", { second: text(await LOG.note(7)) }),
    "no note": await evidence("two-roots", { second: "nothing" }),
    "no key": await evidence("two-roots", { logKeys: ["nothing"] }),
  };
  for (const [name, each] of Object.entries(cases)) {
    await t.step(name, async () => assert.equal((await judgeEvidence(each)).verdict, "forged"));
  }
});

Deno.test("a file of another form is refused", async () => {
  const good = JSON.parse(text(formatEvidence(await evidence("two-roots"))));
  for (
    const value of [
      "",
      "[]",
      "{",
      JSON.stringify({ ...good, format: "x" }),
      JSON.stringify({ ...good, more: 1 }),
      JSON.stringify({ ...good, foundAt: "yesterday" }),
    ]
  ) {
    assert.throws(() => parseEvidence(toUtf8(value)), (error) => codeOf(error) === "EVIDENCE_MALFORMED");
  }
});
