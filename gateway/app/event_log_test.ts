/** What a gateway may not do without its entry, and what a flood of refusals leaves in its log. */

import assert from "node:assert/strict";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { type EventLog, NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import { ask, startTestGateway, startUpstream, type TestConfig } from "tests/environment/gateway.ts";
import { makeGatewayLog } from "tests/environment/gateway_log.ts";

Deno.test("a gateway enters what it does; a flood of refusals is a few counted entries", async () => {
  await using log = await makeGatewayLog();
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => void Object.assign(config, { eventLog: log.eventLog }),
  });
  try {
    const flood = 200;
    for (let i = 0; i < flood; i++) {
      const seen = await ask(test.port, { method: "POST", path: "/batches", body: "{}" });
      assert.equal(seen.status, 403);
    }
    await test.gateway.reload();
    assert.match((await test.admin("/log")).text, /Log of the gateway/);
    await Deno.writeTextFile(test.configPath, "nonsense: true\n");
    await assert.rejects(test.gateway.reload(), { code: "GATEWAY_CONFIG" });
    await test.gateway.drain();
    const leaves = await log.leaves();
    const refused = leaves.filter(({ event }) => event === "gateway.request-refused");
    assert.deepEqual([...new Set(refused.map(({ reason }) => reason))], ["identity-not-allowed"]);
    assert.equal(refused.reduce((sum, { count = 1 }) => sum + count, 0), flood);
    assert.ok(refused.length < flood / 10, `${refused.length} entries`);
    const events = leaves.map(({ event, outcome }) => `${event} ${outcome}`);
    for (
      const event of [
        "gateway.canaries-proven done",
        "gateway.upstream-up done",
        "gateway.serving done",
        "gateway.reloaded done",
        "gateway.reload-refused refused",
        "gateway.draining done",
        "gateway.drained done",
      ]
    ) assert.ok(events.includes(event), event);
    assert.ok(events.indexOf("gateway.canaries-proven done") < events.indexOf("gateway.serving done"));
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("a gateway whose log is another's does not serve", async () => {
  await using log = await makeGatewayLog();
  const edit = (config: TestConfig) => {
    config.eventLog = { ...log.eventLog, origin: "log.example/another" };
  };
  const test = await startTestGateway({
    edit: (config) => void Object.assign(config, { eventLog: log.eventLog }),
  });
  await test.close();
  await assert.rejects(
    startTestGateway({ edit }),
    (error) => /^LOG_/.test(codeOf(error)),
  );
});

Deno.test("a gateway that cannot enter anything forwards nothing and takes no new configuration", async () => {
  let forwarded = 0;
  const upstream = await startUpstream((_, response) => {
    forwarded++;
    response.end();
  });
  let full = false;
  const events: EventLog = {
    ...NO_EVENT_LOG,
    get writable() {
      return !full;
    },
    record: () =>
      full
        ? Promise.reject(new CodedError("LOG_FILE", "Cannot append: the disk is full"))
        : Promise.resolve(),
  };
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], events });
  try {
    assert.equal((await ask(test.port)).status, 200);
    assert.equal(forwarded, 1);
    full = true;
    const seen = await ask(test.port);
    assert.equal(seen.status, 503);
    assert.ok(seen.headers["retry-after"]);
    assert.equal((await test.admin("/readyz")).status, 503);
    const text = await Deno.readTextFile(test.configPath);
    await Deno.writeTextFile(test.configPath, text.replace("/things/{thing}", "/others/{thing}"));
    await assert.rejects(test.gateway.reload(), { code: "LOG_FILE" });
    full = false;
    assert.equal((await ask(test.port)).status, 200, "the old routes stay");
    assert.equal(forwarded, 2);
  } finally {
    await test.close();
    await upstream.close();
  }
});
