/** `explain` says what the gateway does: the same rule for the same request, without a gateway. */

import assert from "node:assert/strict";
import { readApis } from "gateway/app/api_config.ts";
import { GatewayConfig } from "gateway/app/config.ts";
import { readConfig } from "gateway/app/config_file.ts";
import { type Asker, explainRequest } from "gateway/app/explain.ts";
import { requestBytes } from "gateway/app/explain_request.ts";
import { compilePolicy } from "gateway/app/material.ts";
import { EXPLANATIONS } from "gateway/domain/explanations.ts";
import { compileNetworks } from "gateway/domain/networks.ts";
import { REFUSALS } from "gateway/domain/refusals.ts";
import { type TestConfig, writeGatewayFiles } from "tests/environment/gateway.ts";
import { SECTIONS } from "./malformed_requests.ts";

const { folder, path } = await writeGatewayFiles({
  edit: (config: TestConfig) => {
    config.denyNetworks = ["192.0.2.0/24"];
    config.apis = { things: { document: "things.json" } };
    config.routes[0].firewall = { api: "things" };
    config.routes[0].networks = ["10.0.0.0/8"];
    config.rateLimits = {
      each: { quota: 5, windowSeconds: 60, by: ["identity"] },
      all: { quota: 500, windowSeconds: 60, by: ["route"], dryRun: true },
    };
    config.routes[0].rateLimit = ["each", "all"];
  },
});
const config = await readConfig(path, GatewayConfig);
const document = {
  openapi: "3.1.0",
  info: { title: "things", version: "1" },
  paths: {
    "/things/1": {
      get: {},
      post: {
        requestBody: { content: { "application/json": { schema: { type: "object", required: ["a"] } } } },
      },
    },
  },
};
const policy = compilePolicy(config, {
  apis: await readApis(config.apis, () => Promise.resolve(JSON.stringify(document))),
  protection: { denied: compileNetworks(config.denyNetworks) },
});
await Deno.remove(folder, { recursive: true });

const STATION: Asker = { identity: "urn:recovery-key:station:a", authority: undefined, address: "10.0.0.1" };
const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const explain = (text: string, asker: Asker = STATION) =>
  explainRequest(requestBytes(bytesOf(text), false), asker, config, policy);

Deno.test("explainRequest() names the rule of every malformed request", async () => {
  for (const [section, rows] of Object.entries(SECTIONS)) {
    for (const [name, bytes, ...reasons] of rows) {
      if (bytes.startsWith("{")) continue;
      const { verdict, rule } = await explainRequest(
        bytesOf(`${bytes}GET / HTTP/1.1\r\n\r\n`),
        STATION,
        config,
        policy,
      );
      assert.equal(verdict, "refuse", `${section}: ${name}`);
      assert.ok(reasons.includes(String(rule)), `${section}: ${name}: ${rule}`);
    }
  }
});

Deno.test("explainRequest() walks the stages in order and goes on behind the first refusal", async () => {
  const good = await explain('{"path":"/things/1"}');
  assert.deepEqual(good.steps.map(({ stage, verdict }) => `${stage} ${verdict}`), [
    "connection pass",
    "reading pass",
    "address pass",
    "route pass",
    "network pass",
    "identity pass",
    "firewall pass",
    "size pass",
    "concurrency pass",
    "limit unknown",
    "limit unknown",
  ]);
  assert.match(good.steps.at(-2)!.why, /^each: only a running gateway knows what is left of it$/);
  assert.match(good.steps.at(-1)!.why, /^all: .*; it is a dry run and refuses nobody$/);
  assert.deepEqual([good.verdict, good.rule, good.status, good.upstream], ["forward", null, null, "echo"]);
  const bad = await explain(
    '{"method":"POST","path":"/things/1?x=1","body":"{}","headers":{"Content-Type":"application/json"}}',
    { ...STATION, identity: "urn:recovery-key:wallet:a", address: "11.0.0.1" },
  );
  assert.deepEqual(bad.steps.flatMap(({ rule }) => rule ?? []), [
    "network-not-allowed",
    "identity-not-allowed",
    "api-query-unknown",
  ]);
  assert.deepEqual([bad.rule, bad.status], ["network-not-allowed", 403]);
  assert.equal((await explain('{"method":"POST","path":"/things/1","body":{}}')).rule, "api-schema");
  assert.equal((await explain('{"path":"/nowhere"}')).rule, "route-unknown");
  assert.equal((await explain("GET /things/1 HTTP/1.1\r\nHost: x\r\n")).rule, "body-incomplete");
  const chunked =
    "POST /things/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.equal((await explain(`${chunked}3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n`)).verdict, "forward");
  const denied = await explain('{"path":"/things/1"}', { ...STATION, address: "192.0.2.7" });
  assert.deepEqual([denied.verdict, denied.status], ["refuse", null]);
});

Deno.test("explainRequest() says what it cannot know", async () => {
  const { verdict, steps } = await explain('{"path":"/things/1"}', {
    identity: undefined,
    authority: undefined,
    address: undefined,
  });
  assert.equal(verdict, "forward");
  assert.deepEqual(steps.filter((step) => step.verdict === "unknown").map(({ stage }) => stage), [
    "connection",
    "network",
    "identity",
    "limit",
    "limit",
  ]);
});

Deno.test("requestBytes() takes a head with the line ends of an editor when it is told to", async () => {
  const text = "GET /things/1 HTTP/1.1\nHost: x\n\n";
  assert.equal((await explain(text)).rule, "line-ending");
  assert.equal(
    (await explainRequest(requestBytes(bytesOf(text), true), STATION, config, policy)).verdict,
    "forward",
  );
});

Deno.test("EXPLANATIONS has a sentence for every reason", () => {
  assert.deepEqual(Object.keys(EXPLANATIONS).sort(), Object.keys(REFUSALS).sort());
});
