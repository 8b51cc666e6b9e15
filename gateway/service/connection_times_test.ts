/** How long each phase of a message may take, on a clock of the test's own; and how little of a client is held. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import type { TLSSocket } from "node:tls";
import { type ByteFault, Http1Connection } from "../transport/http1/connection.ts";
import type { Http1Answer } from "../transport/http1/answer.ts";
import type { Http1Request } from "../transport/http1/request.ts";
import { ConnectionReader } from "./connection_reader.ts";

const TIMES = {
  headersTimeoutMs: 1_000,
  requestTimeoutMs: 3_000,
  keepAliveTimeoutMs: 5_000,
  answerTimeoutMs: 4_000,
  maxRequestsPerConnection: 100,
};
const BOUNDS = { maxHeaderBytes: 16_384, maxTargetLength: 2_048, maxHeaders: 100 };
const GET = "GET /things/1 HTTP/1.1\r\nHost: x\r\n\r\n";

/** A client's socket; `takes`: whether the kernel takes what is written. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  writable = true;
  takes = true;

  write(_bytes: unknown, ...rest: unknown[]): boolean {
    const taken = rest.find((each) => typeof each === "function") as (() => void) | undefined;
    if (this.takes) taken?.();
    return this.takes;
  }
  end(): void {
    this.writable = false;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
  paused = false;
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  isPaused(): boolean {
    return this.paused;
  }
}

/** Runs with a clock that stands where it is put. */
function withClock(run: (clock: { now: number }) => void): void {
  const { now } = performance;
  const clock = { now: 50_000 };
  performance.now = () => clock.now;
  try {
    run(clock);
  } finally {
    performance.now = now;
  }
}

function connect() {
  const socket = new FakeSocket();
  const refused: ("timeout" | "malformed" | ByteFault)[] = [];
  const answers: Http1Answer[] = [];
  const requests: Http1Request[] = [];
  const connection = new Http1Connection(
    socket as unknown as TLSSocket,
    new ConnectionReader(BOUNDS),
    TIMES,
    {
      request: (incoming, outgoing) => {
        requests.push(incoming);
        answers.push(outgoing);
      },
      refused: (cause) => void refused.push(cause),
    },
  );
  return {
    socket,
    refused,
    connection,
    send: (text: string) => void socket.emit("data", Buffer.from(text)),
    answer: () => answers.at(-1)!.writeHead(200).end(new Uint8Array(2)),
    answers,
    requests,
  };
}

Deno.test("a connection has so long for its first head, from its beginning", () => {
  for (const beginning of ["", "GET /thi", GET.slice(0, -1)]) {
    withClock((clock) => {
      const { connection, refused, send } = connect();
      clock.now += 900;
      if (beginning !== "") send(beginning);
      connection.sweep(clock.now);
      assert.deepEqual(refused, []);
      connection.sweep(clock.now += 101);
      assert.deepEqual(refused, ["timeout"], beginning);
    });
  }
});

Deno.test("a later head has so long from its first byte, however long the connection was idle before", () => {
  withClock((clock) => {
    const { connection, refused, send, answer, socket } = connect();
    send(GET);
    answer();
    connection.sweep(clock.now += 4_000);
    send("GET /th");
    connection.sweep(clock.now += 1_000);
    assert.deepEqual(refused, []);
    connection.sweep(clock.now += 1);
    assert.deepEqual(refused, ["timeout"]);
    assert.equal(socket.destroyed, false, "it is answered");
  });
});

Deno.test("a body has so long from the first byte of its message, on an old connection too", () => {
  withClock((clock) => {
    const { connection, refused, send, answer } = connect();
    send(GET);
    answer();
    clock.now += 20_000;
    send("POST /things/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    connection.sweep(clock.now += 3_000);
    assert.deepEqual(refused, []);
    connection.sweep(clock.now += 1);
    assert.deepEqual(refused, ["timeout"]);
  });
});

Deno.test("a connection may be idle as long as its client was told, and a second more", () => {
  withClock((clock) => {
    const { connection, refused, send, answer, socket } = connect();
    send(GET);
    answer();
    connection.sweep(clock.now += 10);
    connection.sweep(clock.now += 6_000);
    assert.equal(socket.destroyed, false);
    connection.sweep(clock.now += 1);
    assert.equal(socket.destroyed, true);
    assert.deepEqual(refused, []);
  });
});

Deno.test("an answer has so long to be taken, and so long only from its head on", () => {
  withClock((clock) => {
    const { connection, send, answers, socket } = connect();
    socket.takes = false;
    send(GET);
    for (let i = 0; i < 10; i++) connection.sweep(clock.now += 1_000);
    assert.equal(socket.destroyed, false, "an instance may take its time");
    answers[0]!.writeHead(200).write(new Uint8Array(2));
    connection.sweep(clock.now += 10);
    for (let i = 0; i < 4; i++) connection.sweep(clock.now += 1_000);
    assert.equal(socket.destroyed, false);
    connection.sweep(clock.now += 1);
    assert.equal(socket.destroyed, true);
  });
});

Deno.test("the time of one answer is not that of the next", () => {
  withClock((clock) => {
    const { connection, send, answers, answer, socket } = connect();
    send(GET);
    answers[0]!.writeHead(200).write(new Uint8Array(2));
    connection.sweep(clock.now += 10);
    connection.sweep(clock.now += 3_000);
    answers[0]!.end();
    send(GET);
    answers[1]!.writeHead(200).write(new Uint8Array(2));
    connection.sweep(clock.now += 2_000);
    assert.equal(socket.destroyed, false);
    answers[1]!.end();
    send(GET);
    answer();
    assert.equal(socket.destroyed, false);
  });
});

Deno.test("after a refusal the client has two seconds to read it and to close", () => {
  withClock((clock) => {
    const { connection, send, socket, refused } = connect();
    send("GET /\0 HTTP/1.1\r\n\r\n");
    assert.equal(refused.length, 1);
    connection.sweep(clock.now += 2_000);
    assert.equal(socket.destroyed, false);
    connection.sweep(clock.now += 1);
    assert.equal(socket.destroyed, true);
  });
});

Deno.test("what a client sends ahead is read until 64 KiB of it wait, less in small pieces, and on when its turn comes", () => {
  for (const [piece, most] of [["x".repeat(1_024), 64], ["x", 256]] as const) {
    const { socket, send, answer } = connect();
    send(GET);
    let pieces = 0;
    while (!socket.paused) {
      send(piece);
      assert.ok(++pieces <= most, `${pieces} pieces of ${piece.length} bytes`);
    }
    answer();
    assert.equal(socket.paused, false);
  }
});

Deno.test("a body in thousands of chunks is passed on once for each read, and held back when nobody takes it", async () => {
  const { socket, send, requests } = connect();
  send("POST /things/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const parts: number[] = [];
  requests[0]!.on("data", (part) => void parts.push(part.length));
  send("1\r\nx\r\n".repeat(20_000));
  assert.equal(socket.paused, true);
  requests[0]!.resume();
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  assert.equal(socket.paused, false);
  send("1\r\nx\r\n".repeat(3_000));
  assert.deepEqual(parts, [20_000, 3_000]);
});
