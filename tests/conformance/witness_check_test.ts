/** An independent Python program (witness_check.py) verifies what our witness cosigned, and the evidence that it kept. */

import assert from "node:assert/strict";
import { concat, toUtf8 } from "shared/base/bytes.ts";
import { formatEvidence } from "shared/log/witness/evidence.ts";
import { TestLog } from "shared/log/witness/testing/test_log.ts";
import { testWitness, WITNESS_KEY } from "shared/log/witness/testing/test_witness.ts";
import { formatVerifierKey } from "shared/log/vkey.ts";
import { missingComponent } from "tests/environment/component.ts";

const PYTHON = "/usr/bin/python3";
const CHECK = decodeURIComponent(new URL("./witness_check.py", import.meta.url).pathname);
const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 30);
const FORK = new TestLog(ORIGIN, 30, "other", 1, 3);

async function check(...args: string[]): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(PYTHON, {
    args: [CHECK, ...args],
    stdin: "null",
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return { success, output: new TextDecoder().decode(stdout).trim() };
}

Deno.test("a verifier that is not ours accepts our cosignatures and evidence, and refuses what was changed", async () => {
  const modules = await new Deno.Command(PYTHON, { args: ["-c", "import cryptography"] }).output();
  if (!modules.success) {
    throw missingComponent("python3-cryptography", "apt-get install python3-cryptography");
  }
  using test = testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey }]);
  const vkey = formatVerifierKey(WITNESS_KEY);
  const answer = await test.witness.addCheckpoint(await LOG.request(0, 7));
  const note = `${test.folder}/checkpoint`;
  const cosigned = concat(await LOG.note(7), toUtf8(answer.body));
  await Deno.writeFile(note, cosigned);
  const accepted = await check("checkpoint", note, LOG.key.vkey, vkey);
  assert.deepEqual(JSON.parse(accepted.output), { origin: ORIGIN, size: 7, time: test.now });
  await Deno.writeFile(note, toUtf8(new TextDecoder().decode(cosigned).replace("\n7\n", "\n8\n")));
  assert.equal((await check("checkpoint", note, LOG.key.vkey, vkey)).success, false);

  await test.witness.addCheckpoint(await FORK.request(7, 7));
  await test.witness.addCheckpoint(await FORK.request(7, 12));
  const found = test.evidence();
  assert.deepEqual(found.map(({ kind }) => kind).sort(), ["other-history", "two-roots"]);
  const file = `${test.folder}/evidence.json`;
  for (const evidence of found) {
    await Deno.writeFile(file, formatEvidence(evidence));
    const { success, output } = await check("evidence", file, LOG.key.vkey);
    assert.ok(success, output);
    const sizes = evidence.kind === "two-roots" ? [7, 7] : [7, 12];
    assert.deepEqual(JSON.parse(output), { kind: evidence.kind, origin: ORIGIN, sizes });
    const honest = new TextDecoder().decode(await LOG.note(evidence.kind === "two-roots" ? 7 : 12));
    await Deno.writeFile(file, formatEvidence({ ...evidence, second: honest }));
    assert.equal((await check("evidence", file, LOG.key.vkey)).success, false);
    const stranger = new TestLog(ORIGIN, 1, "entry", 9);
    await Deno.writeFile(file, formatEvidence(evidence));
    assert.equal((await check("evidence", file, stranger.key.vkey)).success, false);
  }
});
