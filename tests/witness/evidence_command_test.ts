/** `rk log evidence` as a third party runs it: exit code, plain words and JSON, from the file alone. */

import assert from "node:assert/strict";
import { DENO, REPOSITORY } from "cli/home.ts";
import { formatEvidence } from "shared/log/witness/evidence.ts";
import { TestLog } from "shared/log/witness/testing/test_log.ts";
import { testWitness } from "shared/log/witness/testing/test_witness.ts";

const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 20);
const FORK = new TestLog(ORIGIN, 20, "other", 1, 3);

async function evidenceCommand(
  ...args: string[]
): Promise<{ code: number; words: string; json: Record<string, unknown> }> {
  const { code, stdout, stderr } = await new Deno.Command(DENO, {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      `--config=${REPOSITORY}/deno.json`,
      `${REPOSITORY}/cli/main.ts`,
      "log",
      "evidence",
      ...args,
      "--json",
    ],
  }).output();
  const decoder = new TextDecoder();
  return { code, words: decoder.decode(stderr), json: JSON.parse(decoder.decode(stdout)) };
}

Deno.test("rk log evidence: proven is 0, open is 10, forged is 4", async () => {
  using test = testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey }]);
  await test.witness.addCheckpoint(await LOG.request(0, 7));
  await test.witness.addCheckpoint(await FORK.request(7, 12));
  await test.witness.addCheckpoint(await LOG.request(0, 5));
  const found = new Map(test.evidence().map((each) => [each.kind, each]));
  const proven = found.get("other-history")!;
  const file = `${test.folder}/evidence.json`;
  const stranger = new TestLog(ORIGIN, 1, "entry", 9).key.vkey;
  for (
    const [evidence, keys, code, words] of [
      [proven, [LOG.key.vkey], 0, /^PROVEN/],
      [found.get("went-back")!, [LOG.key.vkey], 10, /^OPEN/],
      [{ ...proven, kind: "two-roots" }, [LOG.key.vkey], 4, /^FORGED/],
      [proven, [stranger], 4, /^FORGED/],
      [{ ...proven, origin: `${ORIGIN}\u001b[2J` }, [], 4, /^FORGED/],
    ] as const
  ) {
    await Deno.writeFile(file, formatEvidence({ ...evidence }));
    const outcome = await evidenceCommand(file, ...keys.flatMap((key) => ["--vkey", key]));
    assert.equal(outcome.code, code, outcome.words);
    assert.match(outcome.words, words);
    assert.ok(!outcome.words.includes("\u001b"), "nothing in a file moves the cursor");
    assert.equal(outcome.json.exitCode, code);
  }
  await Deno.writeTextFile(file, "{}");
  const malformed = await evidenceCommand(file);
  assert.deepEqual([malformed.code, (malformed.json.error as { code: string }).code], [
    4,
    "EVIDENCE_MALFORMED",
  ]);
});
