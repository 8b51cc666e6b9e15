/** An upstream without a parser of its own: it keeps the bytes of every connection and answers whatever looks answered. */

import { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";

/** The upstream. */
export interface RecordingUpstream {
  readonly url: string;
  /** Every byte of every connection, as latin1 text. */
  readonly streams: () => readonly string[];
  /** What is in them, but for health checks. */
  readonly messages: () => readonly RecordedMessage[];
  close(): Promise<void>;
}

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}';

/** Starts it on a free port of the loopback. */
export async function startRecordingUpstream(): Promise<RecordingUpstream> {
  const streams = new Map<Socket, { text: string; answered: number }>();
  const server = createServer((socket) => {
    const stream = { text: "", answered: 0 };
    streams.set(socket, stream);
    socket.on("error", () => {});
    socket.on("data", (part: Uint8Array) => {
      // Not TextDecoder: what it calls latin1 is windows-1252.
      stream.text += Buffer.from(part).toString("latin1");
      for (const { end } of messagesIn(stream.text.slice(stream.answered))) {
        stream.answered += end;
        socket.write(ANSWER);
        break;
      }
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    streams: () => [...streams.values()].map(({ text }) => text),
    messages: () =>
      [...streams.values()].flatMap(({ text }) => messagesIn(text)).filter(({ line }) =>
        line !== "GET /readyz HTTP/1.1"
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of streams.keys()) socket.destroy();
      }),
  };
}

/** A message of a recorded stream. */
export interface RecordedMessage {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly end: number;
}

/** Reads a stream as a strict and simple program would: head, then Content-Length bytes. What does not fit ends the list. */
export function messagesIn(text: string): RecordedMessage[] {
  const messages: RecordedMessage[] = [];
  for (let at = 0; at < text.length;) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    if (headEnd < 0) break;
    const [line = "", ...headers] = text.slice(at, headEnd).split("\r\n");
    const length = Number(headers.find((header) => /^content-length: /i.test(header))?.slice(16) ?? "0");
    const end = headEnd + 4 + length;
    if (end > text.length) break;
    messages.push({ line, headers, body: text.slice(headEnd + 4, end), end });
    at = end;
  }
  return messages;
}
