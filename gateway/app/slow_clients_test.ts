/** A client that sends or reads too slowly ends its own request; the instance that waits for it is not to blame. */

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
