import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { createServer, type Socket } from "node:net";
import type { BodyMessage } from "./body.ts";
import { Cancellation } from "./cancellation.ts";
import { StreamedBody } from "./request_body.ts";
import { type UpstreamClient, upstreamClient } from "./upstream_client.ts";

/** What never comes fails, and does not hang. */
async function within<T>(promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("it does not come")), 10_000);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** An instance that answers each request when it is told to. */
async function instance(idleTimeoutMs: number, connectTimeoutMs = 5_000) {
  const opened: Socket[] = [];
  const asked: ((...pieces: string[]) => Promise<void>)[] = [];
  let wake = () => {};
  const server = createServer((socket) => {
    opened.push(socket);
    socket.on("data", () => {
      asked.push(async (...pieces) => {
        for (const piece of pieces.length > 0 ? pieces : [ANSWER]) {
          socket.write(piece);
          // Long enough that each piece is read alone.
          await new Promise((resolve) => setTimeout(resolve, 15));
        }
      });
      wake();
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const client = upstreamClient({
    url: new URL(`http://127.0.0.1:${port}`),
    tls: undefined,
    maxSockets: 2,
    maxWaiting: 2,
    connectTimeoutMs,
    idleTimeoutMs,
  });
  return {
    client,
    opened,
    /** Waits for the next request, and gives how to answer it: in pieces, or as usual. */
    next: async () => {
      while (asked.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return asked.shift()!;
    },
    close: () => {
      client.close();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const get = (client: UpstreamClient) =>
  within(client.send({
    method: "GET",
    target: "/",
    headers: ["host", client.host],
    body: undefined,
    signal: new Cancellation(),
  }));

const closed = (socket: Socket) =>
  within(
    new Promise<void>((resolve) => socket.destroyed ? resolve() : void socket.once("close", () => resolve())),
  );

Deno.test("UpstreamClient uses a connection again, and closes it when nobody does", async () => {
  const { client, opened, next, close } = await instance(200);
  for (let i = 0; i < 3; i++) {
    const answer = get(client);
    (await next())();
    assert.equal((await answer).kind, "answer");
  }
  assert.equal(opened.length, 1);
  await closed(opened[0]!);
  const answer = get(client);
  (await next())();
  assert.equal((await answer).kind, "answer");
  assert.equal(opened.length, 2, "a new one");
  await close();
});

Deno.test("UpstreamClient notices that an instance closed a connection while nobody used it", async () => {
  const { client, opened, next, close } = await instance(60_000);
  for (let i = 0; i < 3; i++) {
    const answer = get(client);
    (await next())();
    assert.equal((await answer).kind, "answer");
    assert.equal(opened.length, i + 1);
    // Closed when the other side has closed as well.
    opened[i]!.end();
    await closed(opened[i]!);
  }
  await close();
});

Deno.test("UpstreamClient leaves a connection alone whose answer takes longer than idle ones stay", async () => {
  const { client, opened, next, close } = await instance(40);
  const answer = get(client);
  const give = await next();
  await new Promise((resolve) => setTimeout(resolve, 400));
  give();
  assert.equal((await answer).kind, "answer");
  assert.equal(opened.length, 1);
  await close();
});

Deno.test("UpstreamClient lets nobody wait for a connection for longer than it may", async () => {
  const { client, next, close } = await instance(5_000, 60);
  const busy = [get(client), get(client)];
  const answers = [await next(), await next()];
  assert.deepEqual(await get(client), { kind: "failed", sent: false, code: "CONNECT_TIMEOUT" });
  for (const give of answers) give();
  assert.deepEqual(
    (await Promise.all(busy)).map(({ kind }) => kind),
    ["answer", "answer"],
    "those who have one go on",
  );
  await close();
});

Deno.test("UpstreamClient gives up a request that waits for a connection when its client leaves", async () => {
  const { client, next, close } = await instance(5_000);
  const [first, second] = [get(client), get(client)];
  const [one, other] = [await next(), await next()];
  const signal = new Cancellation();
  const waiting = client.send({ method: "GET", target: "/", headers: [], body: undefined, signal });
  signal.abort();
  assert.deepEqual(await waiting, { kind: "failed", sent: false, code: "ABORTED" });
  one();
  other();
  assert.deepEqual((await Promise.all([first, second])).map(({ kind }) => kind), ["answer", "answer"]);
  const again = get(client);
  (await next())();
  assert.equal((await again).kind, "answer", "and keeps no place for it");
  await close();
});

Deno.test("UpstreamClient sends nothing for a client that is gone, and keeps the connection", async () => {
  const { client, opened, next, close } = await instance(5_000);
  const answer = get(client);
  (await next())();
  await answer;
  const signal = new Cancellation();
  signal.abort();
  const gone = await client.send({ method: "GET", target: "/", headers: [], body: undefined, signal });
  assert.deepEqual(gone, { kind: "failed", sent: false, code: "ABORTED" });
  const again = get(client);
  (await next())();
  assert.equal((await again).kind, "answer");
  assert.equal(opened.length, 1);
  await close();
});

Deno.test("UpstreamClient puts an answer together from the pieces in which it comes", async () => {
  const { client, next, close } = await instance(5_000);
  const ask = async (...pieces: string[]) => {
    const answer = get(client);
    await (await next())(...pieces);
    const got = await answer;
    assert.ok(got.kind === "answer" && got.body instanceof Uint8Array);
    return new TextDecoder().decode(got.body);
  };
  const head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
  assert.equal(await ask(head, "one", "two", "six"), "onetwosix");
  assert.equal(await ask(`${head}o`, "netwos", "ix"), "onetwosix");
  assert.equal(await ask(head.slice(0, 20), `${head.slice(20)}onetwo`, "six"), "onetwosix");
  assert.equal(await ask(`${head}onetwosix`), "onetwosix");
  assert.equal(await ask("HTTP/1.1 204 No Content\r\n\r\n"), "");
  assert.equal(await ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "");
  await close();
});

Deno.test("UpstreamClient says that it was the client who broke its body off", async () => {
  const { client, next, opened, close } = await instance(5_000);
  const message = Object.assign(new EventEmitter(), { complete: false, resume: () => {}, pause: () => {} });
  const body = new StreamedBody(message as BodyMessage, 10, 10);
  const answer = client.send({ method: "PUT", target: "/", headers: [], body, signal: new Cancellation() });
  await next();
  message.emit("data", new Uint8Array(3));
  message.emit("close");
  assert.deepEqual(await answer, { kind: "failed", sent: true, code: "BODY_INCOMPLETE" });
  await closed(opened[0]!);
  await close();
});
