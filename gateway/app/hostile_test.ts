/** What a hostile or broken client sends through TLS with a good certificate: smuggling, oversize, slowness. */

import assert from "node:assert/strict";
import { connect as connectTcp, Socket } from "node:net";
import {
  ask,
  exchangeRaw,
  rawClient,
  startTestGateway,
  startUpstream,
  type TestConfig,
} from "tests/environment/gateway.ts";

const upstream = await startUpstream();
const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
const H = "Host: gateway.example\r\n";
const T = "Content-Type: application/json\r\n";
const SMUGGLED = "GET /things/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/** Name -> bytes -> reason in the log. */
const HOSTILE: Readonly<Record<string, readonly [bytes: string, reason: string]>> = {
  "CL.TE": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG${SMUGGLED}`,
    "framing-conflict",
  ],
  "two lengths": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 0\r\nContent-Length: 44\r\n\r\n${SMUGGLED}`,
    "framing-conflict",
  ],
  "length with sign": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: +2\r\n\r\n{}`,
    "framing-malformed",
  ],
  "length list": [`POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 2, 2\r\n\r\n{}`, "framing-malformed"],
  "TE on HTTP/1.0": [
    `POST /things/1 HTTP/1.0\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "framing-http-1.0",
  ],
  "TE on HTTP/1.0 with a second request": [
    `POST /things/1 HTTP/1.0\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    "framing-http-1.0",
  ],
  "TE unknown coding": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    "framing-malformed",
  ],
  "TE twice": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "framing-conflict",
  ],
  "TE look-alike": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer_Encoding: chunked\r\n\r\n`,
    "header-lookalike",
  ],
  "Client-Cert look-alike": [`GET /things/1 HTTP/1.1\r\n${H}Client_Cert: :AA==:\r\n\r\n`, "header-lookalike"],
  "name before colon": [
    `GET /things/1 HTTP/1.1\r\n${H}Transfer-Encoding : chunked\r\n\r\n`,
    "header-name",
  ],
  "folded header": [`GET /things/1 HTTP/1.1\r\n${H}A: b\r\n c: d\r\n\r\n`, "header-folding"],
  "bare line feed": [`GET /things/1 HTTP/1.1\nHost: x\n\n`, "line-ending"],
  "bare line feed in chunks": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n`,
    "line-ending",
  ],
  "chunk size of another kind": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n`,
    "chunk-size",
  ],
  "trailers": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nHost: b\r\n\r\n`,
    "trailers",
  ],
  "chunk extension": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n`,
    "chunk-extension",
  ],
  "NUL in a value": [`GET /things/1 HTTP/1.1\r\n${H}A: b\0c\r\n\r\n`, "header-value"],
  "two hosts": [`GET /things/1 HTTP/1.1\r\n${H}Host: other\r\n\r\n`, "host-duplicate"],
  "no host": [`GET /things/1 HTTP/1.1\r\n\r\n`, "host-missing"],
  "strange host": [`GET /things/1 HTTP/1.1\r\nHost: a/b\r\n\r\n`, "host-malformed"],
  "HTTP/0.9": ["GET /things/1\r\n\r\n", "http-version"],
  "HTTP/2 preface": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http-version"],
  "absolute target": [`GET http://other/things/1 HTTP/1.1\r\n${H}\r\n`, "target-form"],
  "asterisk target": [`OPTIONS * HTTP/1.1\r\n${H}\r\n`, "target-form"],
  "dot segments": [`GET /things/../things/1 HTTP/1.1\r\n${H}\r\n`, "target-dot-segment"],
  "encoded slash": [`GET /things%2f1 HTTP/1.1\r\n${H}\r\n`, "target-encoding"],
  "encoded dot": [`GET /things/%2e%2e HTTP/1.1\r\n${H}\r\n`, "target-encoding"],
  "encoded NUL": [`GET /things/%00 HTTP/1.1\r\n${H}\r\n`, "target-encoding"],
  "encoded letter": [`GET /%74hings/1 HTTP/1.1\r\n${H}\r\n`, "target-encoding"],
  "half an encoding": [`GET /things/%1 HTTP/1.1\r\n${H}\r\n`, "target-encoding"],
  "backslash": [`GET /things\\1 HTTP/1.1\r\n${H}\r\n`, "target-characters"],
  "double slash": [`GET //things/1 HTTP/1.1\r\n${H}\r\n`, "target-empty-segment"],
  "unknown method": [`FROB /things/1 HTTP/1.1\r\n${H}\r\n`, "method-unknown"],
  "method of others": [`PURGE /things/1 HTTP/1.1\r\n${H}\r\n`, "method-unknown"],
  "body on GET": [`GET /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 2\r\n\r\n{}`, "body-unexpected"],
  "expectation": [
    `POST /things/1 HTTP/1.1\r\n${H}${T}Expect: miracles\r\nContent-Length: 2\r\n\r\n{}`,
    "expectation-unknown",
  ],
  "two digests": [
    `GET /things/1 HTTP/1.1\r\n${H}Content-Digest: a\r\nContent-Digest: b\r\n\r\n`,
    "header-duplicate",
  ],
};

for (const [name, [bytes, reason]] of Object.entries(HOSTILE)) {
  Deno.test({
    name: `gateway refuses ${name} and closes`,
    // One gateway and one upstream serve every test of this file, because starting them takes longer than a test: their sockets and
    // timers are open before each and outlive it. The last test asserts that nothing is in flight or connected, and closes them.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const before = { requests: upstream.requests, lines: test.lines.length };
      const seen = await exchangeRaw(test.port, bytes);
      assert.ok(seen.closed, "the connection is closed by the gateway");
      const answers = seen.received.match(/HTTP\/1\.1 \d{3}/g) ?? [];
      assert.equal(answers.length, 1, `one answer only: ${seen.received}`);
      assert.match(answers[0]!, / (400|417)$/, seen.received);
      assert.match(seen.received, /application\/problem\+json/);
      assert.match(seen.received, /connection: close/i);
      assert.equal(upstream.requests, before.requests, "nothing went upstream");
      const reasons = test.lines.slice(before.lines).map((line) => line.reason).filter(Boolean);
      assert.ok(reasons.includes(reason), `${reason} in ${JSON.stringify(reasons)}`);
    },
  });
}

// For the same reason: sockets and timers of the file's one gateway and upstream outlive each test.
const later = { sanitizeOps: false, sanitizeResources: false };

Deno.test("gateway has no tunnel and no upgrade", later, async () => {
  const connect = await exchangeRaw(test.port, `CONNECT other:1 HTTP/1.1\r\n${H}\r\n`);
  assert.match(connect.received, /^HTTP\/1\.1 400/);
  const upgrade = await exchangeRaw(
    test.port,
    `GET /things/1 HTTP/1.1\r\n${H}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  assert.match(upgrade.received, /^HTTP\/1\.1 400/);
  assert.ok(connect.closed && upgrade.closed);
});

Deno.test("gateway reads chunked bodies up to the bound and sends them on with a length", later, async () => {
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const head = `POST /things/1 HTTP/1.1\r\n${H}${T}Transfer-Encoding: chunked\r\n\r\n`;
  const good = await exchangeRaw(
    test.port,
    `${head}${chunk('{"a":')}${chunk("1}")}0\r\n\r\n`,
    (t) => t.includes('"body"'),
  );
  assert.match(good.received, /^HTTP\/1\.1 200/);
  assert.match(good.received, /"content-length":"7"/);
  const large = await exchangeRaw(test.port, `${head}${chunk("x".repeat(2_000))}0\r\n\r\n`);
  assert.match(large.received, /^HTTP\/1\.1 413/);
  assert.ok(large.closed);
});

Deno.test("gateway lets a client that declares too much read the refusal, and closes", later, async () => {
  const seen = await exchangeRaw(
    test.port,
    `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 500000\r\n\r\n${"x".repeat(100_000)}`,
  );
  assert.match(seen.received, /^HTTP\/1\.1 413/);
  assert.ok(seen.closed);
});

Deno.test("gateway answers pipelined requests in order and each by itself", later, async () => {
  const one = (thing: string) => `GET /things/${thing} HTTP/1.1\r\n${H}\r\n`;
  const seen = await exchangeRaw(
    test.port,
    one("1") + one("2") + "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  );
  const order = [...seen.received.matchAll(/"url":"([^"]+)"|GATEWAY_NOT_FOUND/g)].map((match) =>
    match[1] ?? match[0]
  );
  assert.deepEqual([...new Set(order)], ["/things/1", "/things/2", "GATEWAY_NOT_FOUND"]);
});

Deno.test("gateway survives a client that breaks off anywhere", later, async () => {
  const whole = `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 7\r\n\r\n{"a":1}`;
  for (let cut = 1; cut < whole.length; cut += 9) {
    const socket = await rawClient(test.port);
    await new Promise<void>((resolve) => socket.write(whole.slice(0, cut), () => resolve()));
    socket.destroy();
  }
  assert.equal((await ask(test.port)).status, 200);
});

Deno.test("gateway is not miscounted by clients that reset before they are accepted", later, async () => {
  const resets = Array.from({ length: 300 }, () =>
    new Promise<void>((resolve) => {
      const socket = new Socket();
      socket.on("error", () => {}).once("close", () => resolve());
      socket.connect({ port: test.port, host: "127.0.0.1" }, () => void socket.resetAndDestroy());
    }));
  await Promise.all(resets);
  const answered = await exchangeRaw(test.port, `GET /things/1 HTTP/1.1\r\n${H}Connection: close\r\n\r\n`);
  assert.match(answered.received, /^HTTP\/1\.1 200/);
});

Deno.test("gateway closes slow clients in every phase", later, async () => {
  const slow = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config: TestConfig) =>
      config.limits = {
        handshakeTimeoutMs: 300,
        headersTimeoutMs: 300,
        requestTimeoutMs: 700,
        keepAliveTimeoutMs: 300,
      },
  });
  try {
    const tcp = connectTcp(slow.port, "127.0.0.1");
    await new Promise<void>((resolve) => tcp.on("error", () => {}).once("close", () => resolve()).resume());
    const silent = await exchangeRaw(slow.port, "");
    assert.ok(silent.closed, "no request");
    const header = await exchangeRaw(slow.port, "GET /things/1 HTTP/1.1\r\nHost:");
    assert.match(header.received, /^HTTP\/1\.1 408/);
    const body = await exchangeRaw(
      slow.port,
      `POST /things/1 HTTP/1.1\r\n${H}${T}Content-Length: 10\r\n\r\n{`,
    );
    assert.match(body.received, /^HTTP\/1\.1 408/);
    const idle = await exchangeRaw(slow.port, `GET /things/1 HTTP/1.1\r\n${H}\r\n`);
    assert.match(idle.received, /^HTTP\/1\.1 200/);
    assert.ok(idle.closed, "an idle connection");
    assert.ok(slow.lines.some((line) => line.reason === "request-timeout"));
    assert.ok(slow.lines.some((line) => line.reason === "handshake-failed"));
  } finally {
    await slow.close();
  }
});

Deno.test("gateway after all that has nothing in flight and no connection open", later, async () => {
  const settled =
    /gateway_requests_in_flight 0\n[\s\S]*gateway_connections 0\n|gateway_connections 0\n[\s\S]*gateway_requests_in_flight 0\n/;
  let metrics = "";
  for (let i = 0; i < 200 && !settled.test(metrics); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    metrics = (await test.admin("/metrics")).text;
  }
  assert.match(metrics, settled);
  await test.close();
  await upstream.close();
});

Deno.test("gateway refuses a HEAD without content, malformed or not", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    for (
      const [line, status] of [["HEAD /things//1", 400], ["HEAD /nowhere", 404], [
        "GET /things//1",
        400,
      ]] as const
    ) {
      const { received } = await exchangeRaw(
        test.port,
        `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      assert.match(received, new RegExp(`^HTTP/1\\.1 ${status} [^]*content-length: [1-9]`), line);
      assert.equal(received.endsWith("\r\n\r\n"), line.startsWith("HEAD"), received);
    }
  } finally {
    await test.close();
    await upstream.close();
  }
});
