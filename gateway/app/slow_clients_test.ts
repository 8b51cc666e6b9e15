/** A client that is too slow, or leaves, ends its own request; the instance is not to blame. */

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { exchangeRaw, startTestGateway, startUpstream } from "tests/environment/gateway.ts";
import { ABORTED_CODE, UpstreamBody } from "../transport/upstream/answer_body.ts";
import type { UpstreamConnection } from "../transport/upstream/connection.ts";

Deno.test("gateway ends an upload that does not go on, and the instance keeps its circuit closed", async () => {
  const upstreams = [await startUpstream(), await startUpstream()];
  const test = await startTestGateway({
    upstreams: upstreams.map(({ url }) => ({ url })),
    edit: (config) => {
      Object.assign(config.routes[0], { maxBodyBytes: 1_048_576, deadlineMs: 1_500 });
      config.upstreams.echo.breaker = { consecutiveFailures: 1, openMs: 600_000, maxOpenMs: 600_000 };
    },
  });
  try {
    for (const framing of ["Content-Length: 100000", "Transfer-Encoding: chunked"]) {
      const { received } = await exchangeRaw(
        test.port,
        `POST /things/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n2\r\n{}\r\n`,
      );
      assert.match(received, /^HTTP\/1\.1 408 /, framing);
    }
    const lines = test.lines.filter((line) => line.event === "request");
    assert.deepEqual(lines.map(({ reason }) => reason), ["request-timeout", "request-timeout"]);
    const { upstreams: pools } = JSON.parse((await test.admin("/readyz")).text);
    for (const { circuit } of pools.echo) assert.equal(circuit, "closed");
  } finally {
    await test.close();
    await Promise.all(upstreams.map((upstream) => upstream.close()));
  }
});

Deno.test("gateway keeps an instance up whose answers are left in the middle, one after the other", async () => {
  const part = new Uint8Array(1_048_576);
  const upstream = await startUpstream((_, response) => {
    response.writeHead(200);
    const more = () => {
      while (!response.destroyed && response.write(part));
    };
    response.on("drain", more);
    more();
  });
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.routes[0].maxAnswerBytes = 1_073_741_824;
      config.upstreams.echo.health = { intervalMs: 60_000, unhealthyAfter: 2 };
    },
  });
  try {
    for (let i = 0; i < 5; i++) {
      const { received } = await exchangeRaw(
        test.port,
        "GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        () => true,
      );
      assert.match(received, /^HTTP\/1\.1 200 /, `download ${i}`);
      const over = () => test.lines.filter((line) => line.event === "request").length > i;
      while (!over()) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const lines = test.lines.filter((line) => line.event === "request");
    assert.deepEqual(lines.map(({ reason }) => reason), Array(5).fill("client-gone"));
    const { upstreams: pools } = JSON.parse((await test.admin("/readyz")).text);
    assert.deepEqual([pools.echo[0].state, pools.echo[0].circuit], ["up", "closed"]);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("UpstreamBody says whether the deadline met a client that does not read, or an instance", async () => {
  for (const isHeld of [true, false]) {
    const connection = { pause: () => {}, resume: () => {}, cut: () => {} } as unknown as UpstreamConnection;
    const body = new UpstreamBody(connection);
    const target = Object.assign(new EventEmitter(), { destroyed: false, write: () => false });
    const passed = body.pass(target, 1_000);
    body.data(new Uint8Array(10));
    if (!isHeld) target.emit("drain");
    body.lost(ABORTED_CODE);
    assert.deepEqual(await passed, isHeld ? { kind: "client-gone" } : { kind: "lost", code: ABORTED_CODE });
  }
});
