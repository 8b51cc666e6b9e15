/** The worked example of docs/log.md is what the program computes, and verifies. */

import assert from "node:assert/strict";
import { REPOSITORY } from "cli/home.ts";
import { filesSource } from "shared/log/testing/log_folder.ts";
import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { verifyLog } from "shared/log/verify.ts";
import { verifyTlogProof } from "shared/log/verify_proof.ts";
import { workedExample } from "./example.ts";

Deno.test("docs/log.md shows the worked example as it is computed", async () => {
  const page = await Deno.readTextFile(`${REPOSITORY}/docs/log.md`);
  for (const [name, text] of Object.entries((await workedExample()).texts)) {
    assert.ok(page.includes(`\n${text}\n`), `${name}: docs/log.md should contain\n${text}`);
  }
});

Deno.test("the worked example verifies with the trust file that docs/log.md shows", async () => {
  const { files, proof, origin } = await workedExample();
  const page = await Deno.readTextFile(`${REPOSITORY}/docs/log.md`);
  const policy = trustPolicy(parseTrust(/```json trust\n([^]*?)```/.exec(page)![1]!));
  const found = await verifyLog(filesSource(files), policy, { now: Date.UTC(2026, 10, 21, 14, 29, 10) });
  assert.deepEqual([found.ok, found.size, found.cosignatures.length, found.findings], [true, 3, 1, []]);
  assert.equal(policy.origin, origin);
  assert.equal(verifyTlogProof(proof, policy).index, 1);
});
