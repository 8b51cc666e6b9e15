/** Against the runtime as it is: what is not read has to wait at the sender, over TLS too, in both directions. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { connect as connectTcp } from "node:net";
import { testPki } from "tests/environment/gateway.ts";
import { readOn, stopReading } from "./reading.ts";

const MEGABYTE = 1_048_576;
const TOTAL = 96 * MEGABYTE;
/** What kernels and engines may hold between two sockets of one machine: far less than all of it. */
const HELD = 32 * MEGABYTE;

/** Sends all of it as fast as it is taken, byte n being n mod 251; tells how far it came. */
function send(socket: Socket): { sent: number } {
  const state = { sent: 0 };
  const piece = Buffer.alloc(251 * 1_024, Uint8Array.from({ length: 251 }, (_, i) => i));
  const more = () => {
    while (state.sent < TOTAL) {
      const part = piece.subarray(0, Math.min(piece.length, TOTAL - state.sent));
      state.sent += part.length;
      if (!socket.write(part)) return void socket.once("drain", more);
    }
  };
  more();
  return state;
}

/** Waits until nothing moves any more, half a second long. */
async function still(state: { sent: number }): Promise<number> {
  while (true) {
    const { sent } = state;
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (state.sent === sent) return sent;
  }
}

/** One connection of a kind, both ends. */
async function pair(
  secure: boolean,
  onread?: (bytes: Buffer) => void,
): Promise<[server: Socket, client: Socket, close: () => void]> {
  const pki = await testPki();
  const accepted = Promise.withResolvers<Socket>();
  const take = (socket: Socket) => (socket.on("error", () => {}), accepted.resolve(socket));
  const { certificatePem: cert, privateKeyPem: key } = pki.gateway;
  const server = secure ? createTlsServer({ cert, key }, take) : createServer(take);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const buffer = Buffer.allocUnsafe(16_384);
  const to = {
    host: "127.0.0.1",
    port: (server.address() as { port: number }).port,
    ...(onread === undefined
      ? {}
      : { onread: { buffer, callback: (length: number) => (onread(buffer.subarray(0, length)), true) } }),
  };
  const client: Socket = secure ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to);
  client.on("error", () => {});
  await new Promise<void>((resolve) => client.once(secure ? "secureConnect" : "connect", () => resolve()));
  const other = await accepted.promise;
  return [other, client, () => {
    client.destroy();
    other.destroy();
    server.close();
  }];
}

/** Takes bytes, stops after the first megabyte, and looks whether each is the next. */
class Taker {
  received = 0;
  wrong = 0;
  stopped = false;
  constructor(readonly socket: () => Socket) {}

  take(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 4_096) if (bytes[i] !== (this.received + i) % 251) this.wrong++;
    this.received += bytes.length;
    if (this.stopped || this.received < MEGABYTE) return;
    this.stopped = true;
    stopReading(this.socket());
  }
}

for (const secure of [true, false]) {
  for (const side of ["server", "client"] as const) {
    const name = `${secure ? "TLS" : "TCP"}, the ${side} reads`;
    Deno.test(`stopReading() leaves what comes to the sender, and readOn() loses nothing: ${name}`, async () => {
      const reader: { socket?: Socket } = {};
      const taker = new Taker(() => reader.socket!);
      const [server, client, close] = await pair(
        secure,
        side === "client" ? (bytes) => taker.take(bytes) : undefined,
      );
      try {
        reader.socket = side === "server" ? server : client;
        if (side === "server") server.on("data", (bytes: Uint8Array) => taker.take(bytes));
        const state = send(side === "server" ? client : server);
        const sent = await still(state);
        assert.ok(taker.stopped);
        assert.ok(sent < HELD, `${sent} bytes were taken, of which ${taker.received} were wanted`);
        assert.ok(taker.received < 2 * MEGABYTE, `${taker.received} bytes came after the stop`);
        readOn(reader.socket);
        while (taker.received < TOTAL) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.equal(taker.wrong, 0);
      } finally {
        close();
      }
    });
  }
}

Deno.test("readOn() and stopReading() leave a socket alone that is gone", async () => {
  const [server, client, close] = await pair(true);
  client.destroy();
  stopReading(client);
  readOn(client);
  server.destroy();
  stopReading(server);
  readOn(server);
  close();
});
