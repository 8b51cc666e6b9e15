import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { GROUP_MAX, GROUP_WAITING_MAX, GroupAppender } from "./group_appender.ts";

Deno.test("GroupAppender commits what came meanwhile together, in order, each with its own receipt", async () => {
  const groups: number[] = [];
  let last = 0n;
  let commits = 0;
  const appender = new GroupAppender(async (entries) => {
    groups.push(entries.length);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return entries.map(() => ++last);
  }, () => commits++);
  const receipts = await Promise.all(
    Array.from({ length: GROUP_MAX + 10 }, (_, i) => appender.append(toUtf8(`${i}`))),
  );
  assert.deepEqual(receipts, Array.from({ length: GROUP_MAX + 10 }, (_, i) => BigInt(i + 1)));
  assert.deepEqual(groups, [GROUP_MAX, 10]);
  assert.equal(commits, 2);
  await appender.idle();
});

Deno.test("GroupAppender refuses every caller of a failed commit, and serves the next ones", async () => {
  let broken = true;
  const appender = new GroupAppender((entries) =>
    broken
      ? Promise.reject(new CodedError("DATABASE_UNAVAILABLE", "gone"))
      : Promise.resolve(entries.map(() => 1n))
  );
  const refused = await Promise.allSettled([appender.append(toUtf8("a")), appender.append(toUtf8("b"))]);
  assert.deepEqual(refused.map(({ status }) => status), ["rejected", "rejected"]);
  broken = false;
  assert.equal(await appender.append(toUtf8("c")), 1n);
});

Deno.test("GroupAppender refuses more callers than may wait, at once", async () => {
  const gate = Promise.withResolvers<void>();
  const appender = new GroupAppender(async (entries) => {
    await gate.promise;
    return entries.map(() => 1n);
  });
  const accepted = Array.from({ length: GROUP_WAITING_MAX }, () => appender.append(toUtf8("x")));
  await assert.rejects(appender.append(toUtf8("one more")), { code: "LOG_BUSY" });
  gate.resolve();
  await Promise.all(accepted);
});
