import assert from "node:assert/strict";
import { refusesWith } from "tests/conformance/hsm.ts";
import { WorkQueue } from "./work_queue.ts";

const LONG_MS = 60_000;

Deno.test("WorkQueue serves in order, never more at once than it has workers", async () => {
  const queue = new WorkQueue({ workers: 3, limit: 100, deadlineMs: LONG_MS });
  const order: number[] = [];
  let most = 0;
  await Promise.all(Array.from({ length: 50 }, (_, i) =>
    queue.run(async () => {
      order.push(i);
      most = Math.max(most, queue.running);
      await Promise.resolve();
    })));
  assert.deepEqual(order, Array.from({ length: 50 }, (_, i) => i));
  assert.equal(most, 3);
});

Deno.test("WorkQueue refuses what exceeds its limit, and serves again when there is room", async () => {
  const queue = new WorkQueue({ workers: 1, limit: 2, deadlineMs: LONG_MS });
  const gate = Promise.withResolvers<void>();
  const accepted = [
    queue.run(() => gate.promise),
    queue.run(() => gate.promise),
    queue.run(() => gate.promise),
  ];
  assert.equal(queue.depth, 2);
  await refusesWith("HSM_BUSY", queue.run(() => Promise.resolve()));
  gate.resolve();
  await Promise.all(accepted);
  assert.equal(await queue.run(() => Promise.resolve(7)), 7);
});

Deno.test("WorkQueue lets a late worker finish before it is used again", async () => {
  const queue = new WorkQueue({ workers: 1, limit: 5, deadlineMs: 20 });
  const gate = Promise.withResolvers<void>();
  let ran = false;
  const stuck = queue.run(() => gate.promise);
  const waiting = queue.run(() => Promise.resolve(ran = true));
  await refusesWith("HSM_DEADLINE", stuck);
  await refusesWith("HSM_DEADLINE", waiting);
  assert.equal(queue.running, 1);
  gate.resolve();
  const later = new WorkQueue({ workers: 1, limit: 1, deadlineMs: LONG_MS });
  await later.run(() => gate.promise);
  await queue.close();
  assert.equal(queue.running, 0);
  assert.equal(ran, false);
});

Deno.test("WorkQueue passes failures of the work on, and survives them", async () => {
  const queue = new WorkQueue({ workers: 1, limit: 5, deadlineMs: LONG_MS });
  await assert.rejects(
    queue.run(() => {
      throw new Error("synchronous");
    }),
    /synchronous/,
  );
  await assert.rejects(queue.run(() => Promise.reject(new Error("later"))), /later/);
  assert.equal(await queue.run(() => Promise.resolve(1)), 1);
});

Deno.test("WorkQueue.close() refuses what waits and waits for what runs", async () => {
  const queue = new WorkQueue({ workers: 1, limit: 5, deadlineMs: LONG_MS });
  const gate = Promise.withResolvers<number>();
  const running = queue.run(() => gate.promise);
  const waiting = queue.run(() => Promise.resolve());
  let closed = false;
  const closing = queue.close().then(() => closed = true);
  await refusesWith("HSM_UNAVAILABLE", waiting);
  assert.equal(closed, false);
  gate.resolve(3);
  assert.equal(await running, 3);
  await closing;
});
