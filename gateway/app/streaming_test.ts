/** Bodies that are too long to be held: both ways, as fast as the slower side, and broken off on both sides together. */

import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { startBrokenUpstream } from "tests/environment/broken_upstream.ts";
import {
  ask,
  exchangeRaw,
  rawClient,
  startTestGateway,
  startUpstream,
  type TestConfig,
} from "tests/environment/gateway.ts";
import { StreamedBody } from "../transport/request_body.ts";
import type { UpstreamConnection } from "../transport/upstream/connection.ts";

const MEGABYTE = 1_048_576;
const large = (config: TestConfig) =>
  Object.assign(config.routes[0], { maxBodyBytes: 16 * MEGABYTE, deadlineMs: 60_000 });
const head = (thing: string, framing: string) =>
  `POST /things/${thing} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`;
const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
};

async function count(request: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const part of request) bytes += part.length;
  return bytes;
}

const answerCount = async (request: IncomingMessage, response: ServerResponse) => {
  try {
    const text = String(await count(request));
    response.writeHead(200, { "content-length": String(text.length) }).end(text);
  } catch {
    // Broken off, as the test wants it.
  }
};

Deno.test("gateway streams a long request by length and in chunks, and keeps the connection", async () => {
  const upstream = await startUpstream((request, response) => void answerCount(request, response));
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], edit: large });
  try {
    const long = await ask(test.port, { method: "POST", body: "x".repeat(3 * MEGABYTE) });
    assert.deepEqual([long.status, long.text], [200, String(3 * MEGABYTE)]);
    const chunks = `${MEGABYTE.toString(16)}\r\n${"y".repeat(MEGABYTE)}\r\n0\r\n\r\n`;
    const two = (head("a", "Transfer-Encoding: chunked") + chunks).repeat(2);
    const seen = await exchangeRaw(test.port, two, (text) => text.split(String(MEGABYTE)).length === 3);
    assert.equal(seen.received.match(/HTTP\/1\.1 200/g)?.length, 2, "one connection, two requests");
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway passes on what streams both ways at once", async () => {
  // Answers each part while the request goes on.
  const upstream = await startUpstream((request, response) => {
    response.writeHead(200);
    request.on("data", (part) => response.write(part)).on("end", () => response.end());
  });
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], edit: large });
  try {
    const client = await rawClient(test.port);
    let received = "";
    client.on("data", (bytes: Uint8Array) => received += new TextDecoder().decode(bytes));
    client.write(head("a", "Transfer-Encoding: chunked"));
    for (const word of ["one", "two", "three"]) {
      client.write(`${word.length}\r\n${word}\r\n`);
      await until(() => received.includes(word));
    }
    client.write("0\r\n\r\n");
    await until(() => received.endsWith("0\r\n\r\n"));
    client.destroy();
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("StreamedBody holds the client back while the instance does not take more", () => {
  const message = Object.assign(new PassThrough(), { complete: true });
  const written: number[] = [];
  let drain = () => {};
  const connection = {
    write: (bytes: Uint8Array) => written.push(bytes.length) < 2,
    drained: (then: () => void) => void (drain = then),
  } as unknown as UpstreamConnection;
  const body = new StreamedBody(message as unknown as IncomingMessage, 100, 1_000);
  body.pump(connection);
  for (let i = 1; i < 4; i++) message.emit("data", new Uint8Array(i));
  assert.ok(message.isPaused(), "until it drains");
  assert.deepEqual(written, [1, 2, 3]);
  drain();
  assert.ok(!message.isPaused());
  body.stop();
  message.destroy();
});

Deno.test("gateway holds a fast instance back while the client does not read, and goes on when it does", async () => {
  let written = 0;
  let isHeld = false;
  const upstream = await startBrokenUpstream(({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    const piece = new Uint8Array(262_144);
    const push = () => {
      while (written < 100 * MEGABYTE && !socket.destroyed) {
        written += piece.length;
        if (socket.write(piece)) continue;
        const held = setTimeout(() => isHeld = true, 2_000);
        socket.once("close", () => clearTimeout(held));
        return void socket.once("drain", () => (clearTimeout(held), push()));
      }
      socket.end();
    };
    push();
  });
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      delete config.upstreams.echo.tls;
      Object.assign(config.routes[0], { maxAnswerBytes: 1_000 * MEGABYTE, deadlineMs: 60_000 });
    },
  });
  try {
    // Not a client of this runtime: over TLS that goes on reading when it is paused.
    const pem = test.pki.station.certificatePem + test.pki.station.privateKeyPem;
    await Deno.writeTextFile(`${test.folder}/client.pem`, pem);
    const client = new Deno.Command("openssl", {
      args: ["s_client", "-quiet", "-cert", `${test.folder}/client.pem`, "-key", `${test.folder}/client.pem`]
        .concat("-connect", `127.0.0.1:${test.port}`),
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const input = client.stdin.getWriter();
    await input.write(new TextEncoder().encode("GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\n"));
    // Its output is not read: the pipe fills, then it reads no more.
    await until(() => isHeld || written >= 100 * MEGABYTE);
    assert.ok(isHeld, `the instance could send ${written} bytes that nobody reads`);
    let bytes = 0;
    let last = "";
    for await (const part of client.stdout) {
      bytes += part.length;
      last = new TextDecoder().decode(part.slice(-7));
      if (last.endsWith("\r\n0\r\n\r\n")) break;
    }
    assert.ok(bytes > 100 * MEGABYTE, `${bytes} bytes, then ${last}`);
    client.kill("SIGKILL");
    await client.status;
    await input.close().catch(() => {});
    await until(() => upstream.open.size <= 1);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway breaks an upload off at the instance when the client leaves, and never ends it", async () => {
  let ended = 0;
  let aborted = 0;
  const upstream = await startUpstream((request) =>
    void request.on("end", () => ended++).on("error", () => {}).on(
      "close",
      () => request.complete || aborted++,
    ).resume()
  );
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], edit: large });
  try {
    for (const framing of ["Content-Length: 5000000", "Transfer-Encoding: chunked"]) {
      const before = { aborted, requests: upstream.requests };
      const client = await rawClient(test.port);
      client.write(head("a", framing) + (framing.startsWith("C") ? "half" : "4\r\nhalf\r\n"));
      await until(() => upstream.requests > before.requests);
      client.destroy();
      await until(() => aborted > before.aborted);
    }
    assert.equal(ended, 0);
    const { upstreams } = JSON.parse((await test.admin("/readyz")).text);
    assert.equal(upstreams.echo[0].circuit, "closed", "the instance is not to blame");
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway refuses what is longer than the route allows, in the middle when it has to", async () => {
  const upstream = await startUpstream((request, response) => void answerCount(request, response));
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => config.routes[0].maxBodyBytes = 200_000,
  });
  try {
    const chunk = `${(50_000).toString(16)}\r\n${"x".repeat(50_000)}\r\n`;
    const endless = await exchangeRaw(
      test.port,
      head("a", "Transfer-Encoding: chunked") + chunk.repeat(6),
      (text) => text.includes("GATEWAY_TOO_LARGE"),
    );
    assert.match(endless.received, /^HTTP\/1\.1 413/);
    assert.equal((await ask(test.port, { method: "POST", body: "x".repeat(200_001) })).status, 413);
    assert.equal((await ask(test.port, { method: "POST", body: "x".repeat(200_000) })).status, 200);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway passes an early answer on, and ends the connection behind it", async () => {
  const upstream = await startUpstream((_request, response) => {
    response.writeHead(409, { "content-length": "4", "connection": "close" }).end("no!\n");
  });
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }], edit: large });
  try {
    const seen = await exchangeRaw(test.port, head("a", "Content-Length: 5000000") + "a part");
    assert.match(seen.received, /^HTTP\/1\.1 409[^]*connection: close[^]*no!\n$/i);
    assert.ok(seen.closed);
  } finally {
    await test.close();
    await upstream.close();
  }
});
