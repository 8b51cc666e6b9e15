/** An upstream that writes bytes: whatever a broken server may send, at whatever time. */

import { createServer, type Socket } from "node:net";

/** One request as it arrived, and its connection. */
export interface RawRequest {
  readonly socket: Socket;
  /** Head and what came of the body with it. */
  readonly text: string;
  /** Number of the request on its connection, from 1. */
  readonly turn: number;
}

/** A broken upstream. */
export interface BrokenUpstream {
  readonly url: string;
  /** Heads of the requests so far, without those for readiness. */
  readonly requests: string[];
  /** Connections that were opened. */
  connections: number;
  /** Connections that are open. */
  readonly open: Set<Socket>;
  close(): Promise<void>;
}

const READY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/** Starts one, plain HTTP; `answer` is called with each request's head. Readiness is always good. */
export async function startBrokenUpstream(answer: (request: RawRequest) => void): Promise<BrokenUpstream> {
  const server = createServer((socket) => {
    upstream.connections++;
    upstream.open.add(socket);
    let turn = 0;
    let inBody = false;
    socket.on("error", () => {}).on("close", () => upstream.open.delete(socket));
    socket.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      if (inBody) return;
      if (text.startsWith("GET /readyz ")) return void socket.write(READY);
      // Bodies of these tests come with their heads, or belong to the last request of the connection.
      inBody = /transfer-encoding: chunked|content-length: \d{6,}/i.test(text);
      upstream.requests.push(text);
      answer({ socket, text, turn: ++turn });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const upstream: BrokenUpstream = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    connections: 0,
    open: new Set(),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of upstream.open) socket.destroy();
      }),
  };
  return upstream;
}
