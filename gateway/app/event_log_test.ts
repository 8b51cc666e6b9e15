/** What a gateway may not do without its entry, and what a flood of refusals leaves in its log. */

import assert from "node:assert/strict";
import { CodedError, codeOf } from "shared/base/errors.ts";
import { parseLeaf } from "shared/log/leaf.ts";
import { type EventLog, NO_EVENT_LOG } from "shared/log/writer/event_log.ts";
import { fileLogVerifierKey } from "shared/log/writer/file_event_log.ts";
import { LogReader } from "shared/log/reader.ts";
import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { ask, startTestGateway, startUpstream, type TestConfig } from "tests/environment/gateway.ts";

const ORIGIN = "log.example/gateway";

async function makeLog() {
  const folder = await Deno.makeTempDir({ prefix: "rk-gateway-log-" });
  const keyFile = `${folder}/log.key`;
  await Deno.writeTextFile(keyFile, `${new Uint8Array(32).fill(5).toBase64()}\n`, { mode: 0o600 });
  ensureSecretFile(`${folder}/pseudonym.key`);
  const eventLog = {
    origin: ORIGIN,
    folder: `${folder}/log`,
    sequenceFile: `${folder}/sequence.sqlite`,
    keyFile,
    pseudonymKeyFile: `${folder}/pseudonym.key`,
  };
  const policy = trustPolicy(
    parseTrust(JSON.stringify({ origin: ORIGIN, log: [fileLogVerifierKey(ORIGIN, keyFile)] })),
  );
  return {
    folder,
    edit: (config: TestConfig) => void Object.assign(config, { eventLog }),
    leaves: async () => {
      const reader = await LogReader.open(directorySource(eventLog.folder), policy);
      const leaves = [];
      for await (const { bytes } of reader.entries(0, reader.checkpoint.size)) leaves.push(parseLeaf(bytes));
      return leaves;
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("a gateway enters what it does; a flood of refusals is a few counted entries", async () => {
  await using log = await makeLog();
  const upstream = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], edit: log.edit });
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
  await using log = await makeLog();
  const edit = (config: TestConfig) => {
    log.edit(config);
    config.eventLog = { ...config.eventLog, origin: "log.example/another" };
  };
  const test = await startTestGateway({ edit: log.edit });
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
