/** A gateway is replaced in place while it has a tamper-evident log: one process after the other writes it, and no request fails. */

import assert from "node:assert/strict";
import { HandedEventLog } from "gateway/app/handed_event_log.ts";
import { createLogger } from "shared/base/log.ts";
import { fileEventLogPage, openFileEventLog } from "shared/log/writer/file_event_log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { ask, startUpstream } from "tests/environment/gateway.ts";
import { makeGatewayLog } from "tests/environment/gateway_log.ts";
import { startCommandGateway } from "./command.ts";

Deno.test("rk gateway upgrade and rollback hand the log over, and enter what they did", async () => {
  await using log = await makeGatewayLog();
  const upstream = await startUpstream();
  const gateway = await startCommandGateway(
    [{ url: upstream.url }],
    (config) => void Object.assign(config, { eventLog: log.eventLog }),
  );
  let stop = false;
  const statuses = new Map<number | undefined, number>();
  const asking = async () => {
    while (!stop) {
      const { status } = await ask(gateway.port);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  try {
    const load = [asking(), asking()];
    const refused = async () =>
      assert.equal((await ask(gateway.port, { method: "POST", path: "/batches", body: "{}" })).status, 403);
    await refused();
    for (const verb of ["upgrade", "upgrade"]) {
      const { code, stderr } = await gateway.run(verb, "--json");
      assert.equal(code, 0, stderr + gateway.log());
      await refused();
    }
    const text = await Deno.readTextFile(gateway.config);
    await Deno.writeTextFile(gateway.config, text.replace("/things/{thing}", "/{things}/{thing}"));
    for (const verb of ["reload", "rollback"]) {
      const { code, stderr } = await gateway.run(verb, "--json");
      assert.equal(code, 0, stderr + gateway.log());
    }
    stop = true;
    await Promise.all(load);
    assert.deepEqual([...statuses.keys()], [200], JSON.stringify([...statuses]));
    assert.equal(await gateway.stop(), 0);
    const events = (await log.leaves()).map(({ event }) => event);
    const count = (name: string) => events.filter((each) => each === name).length;
    assert.equal(count("gateway.serving"), 3, events.join());
    assert.equal(count("gateway.request-refused"), 3);
    assert.equal(count("gateway.log-released"), 2);
    assert.equal(count("gateway.upgraded"), 2);
    assert.equal(count("gateway.reloaded"), 1);
    assert.equal(count("gateway.rolled-back"), 1);
    assert.ok(events.indexOf("gateway.log-released") < events.indexOf("gateway.upgraded"));
  } finally {
    stop = true;
    await gateway.close();
    await upstream.close();
  }
});

Deno.test("HandedEventLog takes the log again when nobody else did, with what was told meanwhile", async () => {
  await using log = await makeGatewayLog();
  const logger = createLogger("test", { write: () => {} });
  const surroundings = { process: "gateway test", clock: SYSTEM_CLOCK, logger };
  let asked = 0;
  const source = {
    self: { kind: "process", identifier: "gateway test" } as const,
    page: fileEventLogPage(log.eventLog),
    open: () => openFileEventLog(log.eventLog, surroundings),
    ask: () => asked++,
    logger,
  };
  const first = new HandedEventLog(source, await source.open());
  await assert.rejects(source.open(), { code: "LOG_FILE_LOCKED" });
  await first.release();
  assert.ok(first.writable, "no request fails for it");
  first.tell("gateway.draining", { actor: first.self });
  await assert.rejects(first.record("gateway.serving", { actor: first.self }), {
    code: "GATEWAY_LOG_HANDED",
  });
  await first.take();
  assert.equal(asked, 0);
  await first.release();
  const second = new HandedEventLog(source);
  await second.record("gateway.serving", { actor: second.self });
  assert.equal(asked, 1);
  await first.stop();
  await second.stop();
  assert.deepEqual((await log.leaves()).map(({ event }) => event), [
    "gateway.log-released",
    "gateway.draining",
    "gateway.log-released",
    "gateway.serving",
  ]);
});
