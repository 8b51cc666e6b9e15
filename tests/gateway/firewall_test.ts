/** The positive firewall in a running gateway: enforced, in dry run, and exempt; and the attestation service's own document. */

import assert from "node:assert/strict";
import { attestationDocument } from "factory/app/attestation_document.ts";
import { checkGateway } from "gateway/app/gateway.ts";
import { compileOpenApi } from "gateway/protocol/openapi.ts";
import {
  ask,
  startTestGateway,
  startUpstream,
  type TestConfig,
  writeGatewayFiles,
} from "tests/environment/gateway.ts";

const DOCUMENT = {
  openapi: "3.1.0",
  info: { title: "things", version: "1" },
  paths: {
    "/things/{thing}": {
      parameters: [{
        name: "thing",
        in: "path",
        required: true,
        schema: { type: "string", pattern: "^[0-9]+$" },
      }],
      get: { parameters: [{ name: "page", in: "query", schema: { type: "integer" } }] },
      post: {
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                properties: { secret: { type: "string", maxLength: 8 } },
                required: ["secret"],
                additionalProperties: false,
              },
            },
          },
        },
      },
    },
  },
};

function withFirewall(firewall: object) {
  return (config: TestConfig) => {
    // YAML has JSON in it: the description stands in the configuration's folder under a name that was there before.
    config.apis = { things: { document: "things.json" } };
    config.routes[0].firewall = { api: "things", ...firewall };
  };
}

async function start(firewall: object, upstream: { url: string }) {
  const edit = withFirewall(firewall);
  // The file has to stand before the gateway reads it, so its place is outside of the folder that is being made.
  const document = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(document, JSON.stringify(DOCUMENT));
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config: TestConfig) => {
      edit(config);
      config.apis.things.document = document;
    },
  });
  return {
    test,
    document,
    close: async () => {
      await test.close();
      await Deno.remove(document);
    },
  };
}

const REFUSED:
  readonly (readonly [what: Parameters<typeof ask>[1], status: number, reason: string, detail?: string])[] = [
    [{ path: "/things/x" }, 400, "api-path-parameter", "thing: / pattern"],
    [{ path: "/things/1?debug=1" }, 400, "api-query-unknown"],
    [{ path: "/things/1?page=x" }, 400, "api-query", "page: / type"],
    [{ method: "PUT", body: "{}" }, 405, "api-method"],
    [{ method: "POST" }, 400, "api-body-missing"],
    [{ method: "POST", body: "{" }, 400, "json-syntax"],
    [{ method: "POST", body: '{"secret":"hidden-value-1"}' }, 400, "api-schema", "/secret maxLength"],
    [{ method: "POST", body: '{"secret":"a","secret":"b"}' }, 400, "json-duplicate-key"],
    [{ method: "POST", body: '{"secret":"a","x":1}' }, 400, "api-schema", "/ additionalProperties x"],
  ];

Deno.test("gateway with a firewall lets pass what the description has, and nothing else", async () => {
  const upstream = await startUpstream();
  const { test, close } = await start({}, upstream);
  try {
    assert.equal((await ask(test.port, { path: "/things/1?page=2" })).status, 200);
    const posted = await ask(test.port, { method: "POST", path: "/things/1", body: '{"secret":"a"}' });
    assert.equal(posted.status, 200, posted.text);
    assert.equal(JSON.parse(posted.text).body, '{"secret":"a"}');
    const { requests } = upstream;
    for (const [what, status, reason, detail] of REFUSED) {
      const seen = await ask(test.port, what);
      assert.equal(seen.status, status, `${reason}: ${seen.text}`);
      const line = test.lines.find(({ requestId }) => requestId === seen.headers["x-request-id"]);
      assert.equal(line?.reason, reason);
      assert.equal(line?.detail, detail);
      assert.ok(!seen.text.includes(reason), "the client does not learn the rule");
    }
    assert.equal(upstream.requests, requests, "nothing of it went upstream");
    assert.ok(!JSON.stringify(test.lines).includes("hidden-value"), "no value is logged");
    assert.match(
      (await test.admin("/metrics")).text,
      /gateway_refusals_total\{route="things",reason="api-schema"\} 2/,
    );
  } finally {
    await close();
    await upstream.close();
  }
});

Deno.test("gateway in dry run forwards everything and says what it would have refused", async () => {
  const upstream = await startUpstream();
  const { test, close } = await start({ mode: "dry-run" }, upstream);
  try {
    for (const [what, , reason] of REFUSED) {
      const seen = await ask(test.port, what);
      assert.equal(seen.status, 200, `${reason}: ${seen.text}`);
      const line = test.lines.find(({ requestId }) => requestId === seen.headers["x-request-id"]);
      assert.equal(line?.wouldRefuse, reason);
      assert.equal(line?.reason, undefined);
    }
    assert.match(
      (await test.admin("/metrics")).text,
      /gateway_dry_run_refusals_total\{route="things",reason="json-syntax"\} 1/,
    );
  } finally {
    await close();
    await upstream.close();
  }
});

Deno.test("gateway judges head and size alone where the body is exempt", async () => {
  const upstream = await startUpstream();
  const { test, close } = await start({ body: "exempt" }, upstream);
  try {
    assert.equal((await ask(test.port, { method: "POST", path: "/things/1", body: "{" })).status, 200);
    assert.equal((await ask(test.port, { method: "POST", path: "/things/x", body: "{}" })).status, 400);
    assert.equal(
      (await ask(test.port, { method: "POST", path: "/things/1", body: "x".repeat(2_000) })).status,
      413,
    );
  } finally {
    await close();
    await upstream.close();
  }
});

Deno.test("gateway takes a new description with a reload, and keeps the old one when the new one is of no use", async () => {
  const upstream = await startUpstream();
  const { test, document, close } = await start({}, upstream);
  try {
    await Deno.writeTextFile(document, '{"openapi":"3.1.0"}');
    await assert.rejects(test.gateway.reload(), (error: { code?: string }) => error.code === "GATEWAY_API");
    assert.equal((await ask(test.port, { path: "/things/1" })).status, 200);
    await Deno.writeTextFile(document, JSON.stringify({ ...DOCUMENT, paths: {} }));
    await test.gateway.reload();
    assert.equal((await ask(test.port, { path: "/things/1" })).status, 404);
  } finally {
    await close();
    await upstream.close();
  }
});

Deno.test("gateway refuses a configuration whose description is missing or not named", async () => {
  for (
    const [edit, code] of [
      [withFirewall({}), "GATEWAY_FILE"],
      [withFirewall({ api: "other" }), "GATEWAY_CONFIG"],
      [withFirewall({ mode: "off" }), "GATEWAY_CONFIG"],
    ] as const
  ) {
    const { folder, path } = await writeGatewayFiles({ edit });
    await assert.rejects(checkGateway(path), (error: { code?: string }) => error.code === code);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("attestationDocument() can be judged by, and every body in it is closed to unknown keys", () => {
  const document = JSON.parse(JSON.stringify(attestationDocument()));
  const { operations } = compileOpenApi(document);
  assert.ok(operations.length >= 16);
  for (const { body } of operations) {
    for (const check of body?.content.values() ?? []) {
      assert.match(check?.({ unknown: 1 }) ?? "", /required|additionalProperties/);
    }
  }
});
