/** A log as a process writes it, event by event, is one that the off-line verifier accepts, and a change of it is found. */

import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { parseLeaf } from "shared/log/leaf.ts";
import { hmacPseudonyms, Pseudonyms } from "shared/log/pseudonym.ts";
import { EventRecorder } from "shared/log/recorder.ts";
import { openFileTileStore } from "shared/log/store/file_tile_store.ts";
import { ProcessLog } from "shared/log/store/process_log.ts";
import { openSqliteSequence } from "shared/log/store/sqlite_sequence.ts";
import { verifyLog } from "shared/log/verify.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { TEST_ORIGIN, testSigner, testVerifiers } from "tests/environment/log/fixture.ts";

Deno.test("a log of recorded events verifies off line, and a changed tile is found", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-log-" });
  try {
    const directory = `${folder}/log`;
    const log = new ProcessLog({
      origin: TEST_ORIGIN,
      sequence: openSqliteSequence(`${folder}/log.sqlite`, TEST_ORIGIN),
      tiles: await openFileTileStore({ directory }),
      signers: [testSigner()],
      verifiers: testVerifiers(),
      logger: createLogger("test", { write: () => {} }),
      timeOf: (entry) => Date.parse(parseLeaf(entry).time),
    });
    log.start();
    using key = new Secret(new Uint8Array(32).fill(1));
    const recorder = new EventRecorder({
      pseudonyms: new Pseudonyms(TEST_ORIGIN, hmacPseudonyms(key)),
      software: "0.4.0",
      clock: SYSTEM_CLOCK,
      append: (entry) => log.append(entry),
    });
    for (let batch = 0; batch < 3; batch++) {
      const receipts = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          recorder.record("attestation.card-closed", {
            actor: { kind: "sender", identifier: "line-1" },
            subject: { kind: "card", identifier: `${batch}-${i}` },
          })),
      );
      await Promise.all(receipts.map((receipt) => log.included(receipt, 60_000)));
    }
    await log.stop();
    const verify = () =>
      verifyLog(
        directorySource(directory),
        { origin: TEST_ORIGIN, log: testVerifiers(), witnesses: [], quorum: 0 },
        { now: Date.now() },
      );
    const good = await verify();
    assert.deepEqual(good.findings.filter(({ severity }) => severity === "fault"), []);
    assert.ok(good.ok);
    assert.equal(good.entries, 300);
    const tile = `${directory}/tile/0/000`;
    const bytes = await Deno.readFile(tile);
    bytes[100]! ^= 1;
    await Deno.writeFile(tile, bytes);
    const bad = await verify();
    assert.ok(!bad.ok);
    assert.ok(bad.findings.some(({ code }) => code === "TILE_HASH"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
