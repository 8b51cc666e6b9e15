import assert from "node:assert/strict";
import { createServer } from "node:net";
import { Cancellation } from "../cancellation.ts";
import type { UpstreamRequest } from "../upstream_client.ts";
import { upstreamClient } from "./upstream.ts";

const REQUEST: UpstreamRequest = {
  method: "GET",
  target: "/",
  headers: { host: "x" },
  body: undefined,
  signal: new Cancellation(),
  wholeBytes: 1_000,
};

/** A server that answers each request with the next of `answers`, byte for byte, and the client for it. */
async function serve(answers: readonly string[], maxSockets = 1) {
  let next = 0;
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.on("data", () => {
      const answer = answers[next++];
      if (answer === undefined) socket.destroy();
      else socket.write(answer, "latin1");
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const { port } = server.address() as { port: number };
  const client = upstreamClient({
    url: new URL(`http://127.0.0.1:${port}`),
    tls: undefined,
    maxSockets,
    connectTimeoutMs: 5_000,
    idleTimeoutMs: 5_000,
  });
  return {
    client,
    connections: () => connections,
    close: async () => {
      client.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const WHOLE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Deno.test("upstreamClient() uses a connection again, and waits for one when there are enough", async () => {
  const { client, connections, close } = await serve([WHOLE, WHOLE, WHOLE, WHOLE]);
  const answers = await Promise.all([1, 2, 3, 4].map(() => client.send(REQUEST)));
  assert.deepEqual(
    answers.map((answer) => answer.kind === "whole" && new TextDecoder().decode(answer.body)),
    [
      "ok",
      "ok",
      "ok",
      "ok",
    ],
  );
  assert.equal(connections(), 1);
  await close();
});

Deno.test("upstreamClient() never takes what came unasked for the next answer", async () => {
  const forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
  const { client, connections, close } = await serve([WHOLE + forged, WHOLE]);
  await client.send(REQUEST);
  const second = await client.send(REQUEST);
  assert.ok(second.kind === "whole" && second.body.length === 2);
  assert.equal(connections(), 2);
  await close();
});

Deno.test("upstreamClient() tells apart what broke off, what is malformed, and what was refused", async () => {
  const broken = await serve([]);
  assert.deepEqual(await broken.client.send(REQUEST), { kind: "failed", sent: true, code: "ECONNRESET" });
  await broken.close();
  const malformed = await serve(["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"]);
  assert.deepEqual(await malformed.client.send(REQUEST), {
    kind: "failed",
    sent: true,
    code: "ANSWER_MALFORMED",
  });
  await malformed.close();
});

Deno.test("upstreamClient() tells everybody who waits that nobody listens, once each and at once", async () => {
  const gone = await serve([]);
  await gone.close();
  const client = upstreamClient({
    url: gone.client.url,
    tls: undefined,
    maxSockets: 1,
    connectTimeoutMs: 60_000,
    idleTimeoutMs: 5_000,
  });
  const answers = await Promise.all([1, 2, 3].map(() => client.send(REQUEST)));
  for (const answer of answers) {
    assert.deepEqual(answer, { kind: "failed", sent: false, code: "ECONNREFUSED" });
  }
  client.close();
});
