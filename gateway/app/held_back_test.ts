/** What nobody takes waits with its sender: the gateway holds little of it, whichever side is slow. */

import assert from "node:assert/strict";
import type { TLSSocket } from "node:tls";
import { startBrokenUpstream } from "tests/environment/broken_upstream.ts";
import { rawClient, startTestGateway, startUpstream } from "tests/environment/gateway.ts";
import { readOn, stopReading } from "../transport/reading.ts";

const MEGABYTE = 1_048_576;
const TOTAL = 96 * MEGABYTE;
/** As long as a body may be. */
const UPLOAD = 16 * MEGABYTE;
/** What the kernels of both connections may hold, beside what the gateway does. */
const HELD = 48 * MEGABYTE;

/** Sends as much as is taken; resolves when nothing was for half a second. */
async function pour(socket: TLSSocket, piece: Uint8Array, total = TOTAL): Promise<number> {
  let sent = 0;
  let before = -1;
  const more = () => {
    while (sent < total && !socket.destroyed) {
      sent += piece.length;
      if (!socket.write(piece)) return void socket.once("drain", more);
    }
  };
  more();
  while (sent !== before) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return sent;
}

Deno.test("gateway holds little of what a client sends ahead of an answer, and answers the rest in order", async () => {
  const held = Promise.withResolvers<void>();
  const upstream = await startUpstream((request, response) => {
    if (request.url?.endsWith("/slow")) held.promise.then(() => response.end("slow"));
    else response.end("next");
  });
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    const client = await rawClient(test.port);
    let received = "";
    client.on("data", (part: Uint8Array) => received += new TextDecoder().decode(part));
    client.write("GET /things/slow HTTP/1.1\r\nHost: x\r\n\r\nGET /things/next HTTP/1.1\r\nHost: x\r\n\r\n");
    // One empty line before a request is allowed, more are not: what follows is refused when its turn comes.
    const sent = await pour(client, new Uint8Array(MEGABYTE).fill(10));
    assert.ok(sent < HELD, `${sent} bytes were taken ahead of an answer`);
    held.resolve();
    while (!client.destroyed && !/slow[^]*next[^]*HTTP\/1\.1 400/.test(received)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.match(received, /slow[^]*next[^]*HTTP\/1\.1 400/);
    client.destroy();
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway takes little of an upload that its instance does not take", async () => {
  const upstream = await startBrokenUpstream(({ socket }) => void socket.pause());
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      delete config.upstreams.echo.tls;
      Object.assign(config.routes[0], { maxBodyBytes: UPLOAD, deadlineMs: 2_500 });
    },
  });
  try {
    const client = await rawClient(test.port);
    client.write(
      `POST /things/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${UPLOAD}\r\n\r\n`,
    );
    const sent = await pour(client, new Uint8Array(65_536), UPLOAD);
    assert.ok(sent < 0.75 * UPLOAD, `${sent} bytes were taken of an upload that goes nowhere`);
    client.destroy();
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway takes little of an answer that its client does not take, from an instance behind TLS too", async () => {
  let sent = 0;
  const upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream" });
    const piece = new Uint8Array(MEGABYTE);
    const more = () => {
      while (sent < TOTAL) {
        sent += piece.length;
        if (!response.write(piece)) return void response.once("drain", more);
      }
      response.end();
    };
    more();
  });
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => Object.assign(config.routes[0], { maxAnswerBytes: 2 * TOTAL, deadlineMs: 60_000 }),
  });
  try {
    assert.match(upstream.url, /^https:/);
    const client = await rawClient(test.port);
    let received = 0;
    let last = "";
    client.on("data", (part: Uint8Array) => {
      if (received === 0) stopReading(client);
      received += part.length;
      last = (last + new TextDecoder("latin1").decode(part.subarray(-7))).slice(-7);
    });
    client.write("GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    while (received === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    for (let before = -1; sent !== before;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.ok(sent < HELD, `${sent} bytes were taken of an answer that nobody reads`);
    readOn(client);
    while (last !== "\r\n0\r\n\r\n") await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(received > TOTAL, "and all of it arrives");
    client.destroy();
  } finally {
    await test.close();
    await upstream.close();
  }
});
