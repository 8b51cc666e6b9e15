import assert from "node:assert/strict";
import { concat, toUtf8 } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import "../../transport/hsm.ts";
import { cosignatureVerifier, parseCosignature } from "../cosignature.ts";
import { parseSignatureLine } from "../note.ts";
import { judgeEvidence } from "./evidence.ts";
import { TestLog } from "./testing/test_log.ts";
import { type TestWitness, testWitness, WITNESS_KEY } from "./testing/test_witness.ts";
import type { WitnessAnswer } from "./witness.ts";

const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 40);
/** The same name and key with another history from the fifth entry on. */
const FORK = new TestLog(ORIGIN, 40, "other", 1, 4);

const open = (options: Parameters<typeof testWitness>[1] = {}) =>
  testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey }], options);

function timestampOf(answer: WitnessAnswer): number {
  return parseCosignature(parseSignatureLine(answer.body.trimEnd()).signature)!.timestamp;
}

async function grow(test: TestWitness, ...sizes: number[]): Promise<void> {
  for (const size of sizes) {
    const answer = await test.witness.addCheckpoint(
      await LOG.request(test.store.latest(ORIGIN)?.size ?? 0, size),
    );
    assert.equal(answer.status, 200, answer.body);
  }
}

Deno.test("a consistent checkpoint is cosigned over its own text, with the time and once more when it is sent again", async () => {
  using test = open();
  await grow(test, 3);
  const answer = await test.witness.addCheckpoint(await LOG.request(3, 7));
  const { signature } = parseSignatureLine(answer.body.slice(0, -1));
  assert.ok(cosignatureVerifier(WITNESS_KEY).verify(LOG.text(7), signature));
  assert.ok(!cosignatureVerifier(WITNESS_KEY).verify(FORK.text(7), signature));
  assert.equal(timestampOf(answer), test.now);
  // A replay of what was answered already is a conflict; an honest repetition says the size that was reached.
  assert.equal((await test.witness.addCheckpoint(await LOG.request(3, 7))).body, "7\n");
  assert.equal((await test.witness.addCheckpoint(await LOG.request(7, 7))).status, 200);
  assert.deepEqual(test.evidence(), []);
});

Deno.test("bodies of another form are refused with 400 and change nothing", async (t) => {
  using test = open();
  const good = await LOG.request(0, 3);
  const text = new TextDecoder().decode(good);
  const hash = LOG.root(2).toBase64();
  const bodies: Record<string, string | Uint8Array> = {
    "nothing": "",
    "no old line": text.slice(6),
    "old without number": text.replace("old 0", "old "),
    "leading zero": text.replace("old 0", "old 00"),
    "sign": text.replace("old 0", "old +0"),
    "two spaces": text.replace("old 0", "old  0"),
    "carriage returns": text.replaceAll("\n", "\r\n"),
    "size over 2^53": text.replace("old 0", "old 9007199254740993"),
    "proof line of 31 bytes": text.replace("old 0\n", `old 0\n${new Uint8Array(31).toBase64()}\n`),
    "proof line with other bits": text.replace("old 0\n", `old 0\n${hash.slice(0, -2)}B=\n`),
    "64 proof lines": text.replace("old 0\n", `old 0\n${`${hash}\n`.repeat(64)}`),
    "no signatures": text.slice(0, text.indexOf("\n\n— ") + 1),
    "size with leading zero": text.replace("\n3\n", "\n03\n"),
    "not UTF-8": concat(good.subarray(0, 8), Uint8Array.of(0xff), good.subarray(8)),
    "too long": concat(good, new Uint8Array(65_536)),
    "old size above size": text.replace("old 0", "old 4"),
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      const answer = await test.witness.addCheckpoint(typeof body === "string" ? toUtf8(body) : body);
      assert.equal(answer.status, 400, answer.body);
    });
  }
  assert.equal(test.store.latest(ORIGIN), undefined);
});

Deno.test("only the log's own valid signature counts", async (t) => {
  using test = open();
  const text = new TextDecoder().decode(await LOG.request(0, 3));
  const stranger = new TestLog(ORIGIN, 40, "entry", 9);
  const otherName = new TestLog("log.example/b", 40);
  const foreign = new TextDecoder().decode(await stranger.note(3)).split("\n").at(-2)!;
  const cases: Record<string, [string | Uint8Array, number]> = {
    "unknown origin": [await otherName.request(0, 3), 404],
    "unknown origin with the known key's line": [text.replace(`${ORIGIN}\n3`, "log.example/b\n3"), 404],
    "another key": [await stranger.request(0, 3), 403],
    "changed root": [text.replace(LOG.root(3).toBase64(), LOG.root(2).toBase64()), 403],
    "changed size": [text.replace("\n3\n", "\n4\n"), 403],
    "line that is not Base64": [text.replace(/ [A-Za-z0-9+/=]+\n$/, " !!!!\n"), 403],
    "twice by one key": [text + text.split("\n").at(-2)! + "\n", 403],
    "a stranger besides": [`${text}${foreign}\n`, 200],
  };
  for (const [name, [body, status]] of Object.entries(cases)) {
    await t.step(name, async () => {
      const answer = await test.witness.addCheckpoint(typeof body === "string" ? toUtf8(body) : body);
      assert.equal(answer.status, status, answer.body);
    });
  }
  // What was not verified is not kept.
  assert.ok(!new TextDecoder().decode(test.store.latest(ORIGIN)!.note).includes(foreign));
});

Deno.test("a fork is refused and kept, whatever old size it is sent with", async (t) => {
  for (
    const [name, old, size] of [["with the right old size", 9, 9], ["with none", 0, 9], [
      "an earlier size",
      0,
      6,
    ]] as const
  ) {
    await t.step(name, async () => {
      using test = open();
      await grow(test, 6, 9);
      const answer = await test.witness.addCheckpoint(await FORK.request(old, size, []));
      assert.equal(answer.status, 409);
      assert.equal(answer.body, "9\n");
      const [evidence, ...others] = test.evidence();
      assert.equal(others.length, 0);
      assert.equal(evidence!.kind, "two-roots");
      assert.equal((await judgeEvidence(evidence!)).verdict, "proven");
      // The same again is the same evidence.
      await test.witness.addCheckpoint(await FORK.request(old, size, []));
      assert.equal(test.evidence().length, 1);
      assert.equal(test.store.latest(ORIGIN)!.size, 9);
      assert.deepEqual(test.store.latest(ORIGIN)!.root, LOG.root(9));
    });
  }
});

Deno.test("another history is proven by its own proof, a bad proof and a step back are kept as open", async () => {
  using test = open();
  await grow(test, 7);
  const kinds: string[] = [];
  for (
    const [body, status] of [
      [await FORK.request(7, 12), 422],
      [await LOG.request(7, 13, LOG.proof(6, 13)), 422],
      [await LOG.request(0, 5), 409],
    ] as const
  ) {
    assert.equal((await test.witness.addCheckpoint(body)).status, status);
    const added = test.evidence().filter(({ kind }) => !kinds.includes(kind));
    assert.equal(added.length, 1);
    kinds.push(added[0]!.kind);
  }
  assert.deepEqual(kinds, ["other-history", "unproven-growth", "went-back"]);
  const verdicts = await Promise.all(
    test.evidence().map(async (each) => [each.kind, (await judgeEvidence(each)).verdict]),
  );
  assert.deepEqual(Object.fromEntries(verdicts), {
    "other-history": "proven",
    "unproven-growth": "inconclusive",
    "went-back": "inconclusive",
  });
});

Deno.test("100 submissions at once for one log: one history, one root of each size, sizes only grow", async () => {
  const cosigned: { size: number; root: string }[] = [];
  using test = open({
    wrap: (store) => ({
      latest: (origin) => store.latest(origin),
      at: (origin, size) => store.at(origin, size),
      lastTimestamp: () => store.lastTimestamp(),
      close: () => store.close(),
      commit(origin, previous, next) {
        store.commit(origin, previous, next);
        cosigned.push({ size: next.size, root: next.root.toHex() });
      },
    }),
    // Signing takes its time, so that others come in between.
    sign: () => new Promise((resolve) => setTimeout(() => resolve(new Uint8Array(64)), 0)),
  });
  const submit = async (log: TestLog, target: number) => {
    for (;;) {
      const known = test.store.latest(ORIGIN)?.size ?? 0;
      if (known > target) return "overtaken";
      const answer = await test.witness.addCheckpoint(await log.request(known, target));
      if (answer.status !== 409) return String(answer.status);
      if (Number(answer.body) >= target) return "overtaken";
    }
  };
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => submit(i % 2 === 0 ? LOG : FORK, 1 + i % 40)),
  );
  assert.ok(outcomes.includes("200") && outcomes.includes("overtaken"));
  assert.ok(cosigned.every(({ size }, i) => i === 0 || size >= cosigned[i - 1]!.size));
  const roots = new Map<number, string>();
  for (const { size, root } of cosigned) {
    assert.equal(roots.get(size) ?? roots.set(size, root).get(size), root);
  }
  // All of one story: beyond the common beginning, either the log's roots or the fork's.
  const stories = new Set(
    cosigned.filter(({ size }) => size > 4).map(({ size, root }) => root === LOG.root(size).toHex()),
  );
  assert.ok(stories.size <= 1);
});

Deno.test("a clock that steps back never takes a cosignature's time back, and far back nothing is cosigned", async () => {
  using test = open();
  await grow(test, 3);
  const before = test.now;
  test.now -= 60;
  assert.equal(timestampOf(await test.witness.addCheckpoint(await LOG.request(3, 4))), before);
  test.now -= 1;
  const refused = await test.witness.addCheckpoint(await LOG.request(4, 5));
  assert.deepEqual([refused.status, refused.reason, refused.body], [503, "WITNESS_CLOCK", "WITNESS_CLOCK\n"]);
  assert.equal(test.store.latest(ORIGIN)!.size, 4);
  test.now = before + 5;
  assert.equal(timestampOf(await test.witness.addCheckpoint(await LOG.request(4, 5))), before + 5);
});

Deno.test("a full disk: nothing is cosigned that was not written, and it goes on when there is room", async () => {
  const folder = await Deno.makeTempDir();
  try {
    let signed = 0;
    const sign = () => {
      signed++;
      return Promise.resolve(new Uint8Array(64));
    };
    let reached = 0;
    {
      using test = open({ folder, bytesMax: 24_576, sign });
      let answer: WitnessAnswer | undefined;
      for (let size = 1; size <= 200; size++) {
        const log = new TestLog(ORIGIN, size);
        answer = await test.witness.addCheckpoint(
          await log.request(test.store.latest(ORIGIN)?.size ?? 0, size),
        );
        if (answer.status !== 200) break;
        reached = size;
      }
      assert.deepEqual([answer!.status, answer!.reason], [503, "WITNESS_STATE_UNUSABLE"]);
      assert.equal(signed, reached);
      assert.equal(test.store.latest(ORIGIN)!.size, reached);
    }
    using test = open({ folder, sign });
    assert.equal(test.store.latest(ORIGIN)!.size, reached);
    const log = new TestLog(ORIGIN, reached + 1);
    assert.equal((await test.witness.addCheckpoint(await log.request(reached, reached + 1))).status, 200);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a token that fails after the commit costs an answer, not the history", async () => {
  let broken = true;
  using test = open({
    sign: () =>
      broken
        ? Promise.reject(new CodedError("HSM_UNAVAILABLE", "Cannot sign: gone"))
        : Promise.resolve(new Uint8Array(64)),
  });
  const refused = await test.witness.addCheckpoint(await LOG.request(0, 6));
  assert.equal(refused.status, 503);
  broken = false;
  const conflict = await test.witness.addCheckpoint(await LOG.request(0, 6));
  assert.deepEqual([conflict.status, conflict.body], [409, "6\n"]);
  assert.equal((await test.witness.addCheckpoint(await LOG.request(6, 6))).status, 200);
  assert.equal((await test.witness.addCheckpoint(await FORK.request(6, 9))).status, 422);
});
