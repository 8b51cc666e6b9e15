/** Whole sessions: the real device, the real companion and orchestrator, providers in memory that do the vault's cryptography. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import type { CreateRecoverSession } from "shared/protocol/wire/recover_session.ts";
import { BACKUP, RecoverScene, TIMES } from "./scene.ts";

for (const [words, length] of [[12, 16], [18, 24], [24, 32]] as const) {
  Deno.test(`a seed of ${words} words: backup, restore on a new device, a third restore refused, delete`, async () => {
    const scene = new RecoverScene();
    const first = scene.device(length);
    const { backupId, step } = await scene.run(first, BACKUP);
    assert.equal(step.kind, "done");
    assert.equal(scene.inForce(backupId), 3);
    assert.equal(first.codes.length, 1);
    assert.deepEqual(first.told, [1, 2, 3].map((index) => `share-stored Backup_${index}`));
    assert.deepEqual(scene.takeRequests(), [1, 2, 3].map(() => ["open", "deposit", "commit"]));

    for (let times = 1; times <= 2; times++) {
      const second = scene.device();
      await scene.run(second, { flow: "restore", backupId });
      assert.equal(toHex(second.entropy!), toHex(first.entropy!));
      const four = ["open", "confirm", "open", "release"];
      assert.deepEqual(scene.takeRequests(), [four, four, []]);
    }
    const third = scene.device();
    await assert.rejects(
      scene.run(third, { flow: "restore", backupId }),
      (error: Error) => /IN_MEMORY_ATTEMPTS/.test(error.message),
    );
    assert.equal(third.entropy, undefined);
    assert.equal(scene.inForce(backupId), 3);
    scene.takeRequests();

    await scene.run(first, { flow: "delete", backupId });
    assert.deepEqual(scene.providers.map(({ rows }) => rows.size), [0, 0, 0]);
    assert.deepEqual(scene.takeRequests(), [1, 2, 3].map(() => ["open", "delete", "deletion"]));
    await assert.rejects(scene.run(scene.device(), { flow: "restore", backupId }), /IN_MEMORY_NO_BACKUP/);
  });
}

Deno.test("a companion that comes back after its session was given up is told so", async () => {
  const scene = new RecoverScene();
  const port = scene.port();
  const session = crypto.randomUUID();
  const { step, batch } = await port.create({ session, ...BACKUP } as CreateRecoverSession);
  assert.ok(step.kind === "apdus");
  const { device } = scene.device(16);
  const answers: string[] = [];
  for (const apdu of step.apdus) answers.push(toHex(await device.process(fromHex(apdu))));
  const second = await port.apdus(session, { batch, answers });
  assert.equal(second.step.kind, "apdus");
  scene.now += TIMES.sessionMs;
  await scene.orchestrator.sweep();
  const told = await port.apdus(session, { batch, answers });
  assert.ok(told.step.kind === "failed");
  assert.equal(told.step.code, "ORCHESTRATOR_GIVEN_UP");
});
