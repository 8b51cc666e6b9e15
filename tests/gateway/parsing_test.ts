/** Raw malformed messages over TLS with a good certificate: each refused for its reason, and nothing of it goes upstream. */

import assert from "node:assert/strict";
import { rawClient, startTestGateway, type TestConfig } from "tests/environment/gateway.ts";
import { SECTIONS, SMUGGLED } from "./malformed_requests.ts";
import { messagesIn, type RecordedMessage, startRecordingUpstream } from "./recording_upstream.ts";

const upstream = await startRecordingUpstream();
const test = await startTestGateway({
  upstreams: [{ url: upstream.url }],
  edit: (config: TestConfig) =>
    config.limits = { headersTimeoutMs: 1_500, requestTimeoutMs: 2_500, keepAliveTimeoutMs: 1_500 },
});
// One gateway serves the whole file: it outlives each test.
const later = { sanitizeOps: false, sanitizeResources: false };

/** Sends bytes in pieces and collects what comes until the gateway closes, or `done` says that it is enough. */
async function exchange(bytes: string, cuts: readonly number[] = [], done?: (text: string) => boolean) {
  const socket = await rawClient(test.port);
  return await new Promise<{ received: string; closed: boolean }>((resolve) => {
    let received = "";
    socket.on("data", (part: Uint8Array) => {
      received += new TextDecoder("latin1").decode(part);
      if (done?.(received)) {
        socket.destroy();
        resolve({ received, closed: false });
      }
    });
    socket.once("close", () => resolve({ received, closed: true }));
    let from = 0;
    for (const cut of [...cuts, bytes.length]) {
      if (cut > from && !socket.destroyed) socket.write(bytes.slice(from, cut), "latin1");
      from = cut;
    }
  });
}

async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  }));
}

function reasonOf(received: string): unknown {
  const id = /x-request-id: (\S+)/i.exec(received)?.[1];
  return test.lines.find((line) => line.requestId === id)?.reason;
}

for (const [section, rows] of Object.entries(SECTIONS)) {
  Deno.test(`gateway refuses malformed ${section} (${rows.length})`, later, async () => {
    await inParallel(rows, async ([name, bytes, ...reasons]) => {
      const seen = await exchange(bytes + SMUGGLED);
      const what = `${section}: ${name}: ${seen.received.slice(0, 300)}`;
      assert.ok(seen.closed, what);
      assert.equal(seen.received.match(/HTTP\/1\.1 \d{3}/g)?.length, 1, what);
      assert.match(seen.received, /^HTTP\/1\.1 (400|413|414|417|431) /, what);
      assert.match(seen.received, /application\/problem\+json/, what);
      for (let i = 0; i < 100 && reasonOf(seen.received) === undefined; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const reason = reasonOf(seen.received);
      assert.ok(reasons.includes(String(reason)), `${reason}, not ${reasons.join(" or ")}: ${what}`);
      assert.ok(!seen.received.includes(String(reason)), "the client does not learn the rule");
    });
    assert.deepEqual(upstream.messages(), [], "the upstream saw nothing");
  });
}

const linesOf = (path: string) => upstream.messages().filter(({ line }) => line.includes(path)).length;

Deno.test(
  "gateway refuses a malformed message behind a good one, after the good one's answer",
  later,
  async () => {
    const good = "GET /things/good HTTP/1.1\r\nHost: x\r\n\r\n";
    const seen = await exchange(`${good}${good}GET /things/%2e HTTP/1.1\r\nHost: x\r\n\r\n${SMUGGLED}`);
    assert.deepEqual(seen.received.match(/HTTP\/1\.1 \d{3}/g), [
      "HTTP/1.1 200",
      "HTTP/1.1 200",
      "HTTP/1.1 400",
    ]);
    assert.equal(linesOf("/things/good"), 2);
    assert.equal(linesOf("smuggled"), 0);
  },
);

Deno.test("gateway answers any number of pipelined requests, one after the other", later, async () => {
  const one = `GET /things/ahead HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(2_000)}\r\n\r\n`;
  const last = "GET /things/ahead HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  // More than it keeps of what comes ahead of its turn: the rest waits in the kernel.
  const count = Math.ceil(100_000 / one.length);
  const seen = await exchange(one.repeat(count) + last);
  assert.equal(seen.received.match(/HTTP\/1\.1 200/g)?.length, count + 1);
  assert.equal(linesOf("/things/ahead"), count + 1);
});

Deno.test("gateway reads nothing behind a request that says that it is the last", later, async () => {
  const seen = await exchange(`GET /things/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n${SMUGGLED}`);
  assert.deepEqual(seen.received.match(/HTTP\/1\.1 \d{3}/g), ["HTTP/1.1 200"]);
  assert.equal(linesOf("/things/last"), 1);
  assert.equal(linesOf("smuggled"), 0);
});

/** A small generator with a seed, so that a failure can be repeated. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

const BASES = [
  "GET /things/1?a=b HTTP/1.1\r\nHost: gateway.example\r\nAccept: */*\r\n\r\n",
  'POST /things/1 HTTP/1.1\r\nHost: gateway.example\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}',
  'PUT /things/1 HTTP/1.1\r\nHost: gateway.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
];
const PIECES = [
  "\r",
  "\n",
  "\r\n",
  " ",
  "\t",
  ":",
  "\0",
  "/",
  "%",
  "..",
  ";",
  ",",
  "0",
  "\x80",
  "Transfer-Encoding: chunked\r\n",
  "Content-Length: 4\r\n",
  "Host: b\r\n",
  "\r\n\r\n",
];
const SEED = Number(Deno.env.get("RK_SEED") ?? 20_261);

/** What every forwarded message has to look like: rebuilt, with a place for nothing else. */
function assertRebuilt({ line, headers, body }: RecordedMessage): void {
  assert.match(
    line,
    /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \/things\/[A-Za-z0-9._~%!$&'()*+,;=:@-]+(\?[^ #\\<>"]*)? HTTP\/1\.1$/,
  );
  for (const header of headers) {
    assert.match(header, /^[A-Za-z0-9!#$%&'*+.^_`|~-]+: [\x20-\x7e\t\x80-\xff]*$/);
  }
  const names = headers.map((header) => header.split(":", 1)[0]!.toLowerCase());
  assert.equal(names.filter((name) => name === "host").length, 1);
  assert.ok(!names.includes("transfer-encoding"), "bodies have a length");
  assert.ok(names.filter((name) => name === "content-length").length <= 1);
  assert.ok(!/^(GET|HEAD)/.test(line) || body === "");
}

Deno.test(
  `gateway lets of 150 mutated messages pass what has one reading only (seed ${SEED})`,
  later,
  async () => {
    const random = generator(SEED);
    const mutants = Array.from({ length: 150 }, () => {
      let bytes = BASES[random(BASES.length)]!;
      for (let edits = 1 + random(3); edits > 0; edits--) {
        const at = random(bytes.length);
        const piece = random(3) === 0 ? "" : PIECES[random(PIECES.length)]!;
        bytes = bytes.slice(0, at) + piece + bytes.slice(at + random(3));
      }
      const cuts = Array.from({ length: random(4) }, () => random(bytes.length)).sort((a, b) => a - b);
      return { bytes, cuts };
    });
    const before = upstream.messages().length;
    let passed = 0;
    await inParallel(mutants, async ({ bytes, cuts }) => {
      const { received } = await exchange(
        bytes,
        cuts,
        (text) => text.includes('{"ok":true}') || text.includes('"next"'),
      );
      passed += received.match(/HTTP\/1\.1 200/g)?.length ?? 0;
    });
    const streams = upstream.streams();
    const messages = upstream.messages();
    for (const message of messages) {
      assertRebuilt(message);
    }
    for (const stream of streams) {
      assert.equal(messagesIn(stream).at(-1)?.end ?? 0, stream.length, "no byte is left over");
    }
    assert.ok(passed > 0 && passed < mutants.length, `${passed} of ${mutants.length} passed`);
    // A client of a mutant that was two requests may be gone before its second answer.
    assert.ok(messages.length - before >= passed);
    assert.ok(messages.length - before <= passed + mutants.length / 10);
  },
);

Deno.test("gateway that read all that is closed", later, async () => {
  await test.close();
  await upstream.close();
});
