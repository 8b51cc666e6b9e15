/** Messages that are unusual and right: they pass, and what the instance gets has the one plain form. */

import assert from "node:assert/strict";
import { exchangeRaw, startTestGateway } from "tests/environment/gateway.ts";
import { type RecordedMessage, startRecordingUpstream } from "./recording_upstream.ts";

const HOST = "Host: gateway.example\r\n";
const POST = `POST /things/1 HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`;

/** What was sent, and what has to stand in the message that the instance gets. */
const ROWS: Readonly<Record<string, readonly [bytes: string, line: string, header?: string]>> = {
  "the full URL of the same host": [
    `GET https://Gateway.Example/things/1?a=b HTTP/1.1\r\n${HOST}\r\n`,
    "GET /things/1?a=b HTTP/1.1",
  ],
  "needless encoding": [`GET /things/%7Eu%2d%5F HTTP/1.1\r\n${HOST}\r\n`, "GET /things/~u-_ HTTP/1.1"],
  "HTTP/1.0 without Host": ["GET /things/1 HTTP/1.0\r\n\r\n", "GET /things/1 HTTP/1.1"],
  "a host with its last dot": [
    "GET /things/1 HTTP/1.1\r\nHost: Gateway.Example.:8443\r\n\r\n",
    "GET /things/1 HTTP/1.1",
  ],
  "an empty line before": [`\r\nGET /things/1 HTTP/1.1\r\n${HOST}\r\n`, "GET /things/1 HTTP/1.1"],
  "a name in UTF-8": [
    `GET /things/1 HTTP/1.1\r\n${HOST}User-Agent: M\xc3\xb6z\r\n\r\n`,
    "GET /things/1 HTTP/1.1",
    "user-agent: M\xc3\xb6z",
  ],
  "a cookie in Latin-1": [
    `GET /things/1 HTTP/1.1\r\n${HOST}Cookie: a=caf\xe9; b=\x80\xff\r\n\r\n`,
    "GET /things/1 HTTP/1.1",
    "cookie: a=caf\xe9; b=\x80\xff",
  ],
  "a trailer": [
    `${CHUNKED}0\r\nX-Sum: abc\r\nEmpty:\r\n\r\n`,
    "POST /things/1 HTTP/1.1",
    "content-length: 2",
  ],
  "segments with dots": [
    `GET /things/...;a=.. HTTP/1.1\r\n${HOST}\r\n`,
    "GET /things/...;a=.. HTTP/1.1",
  ],
};

Deno.test("gateway passes unusual messages on that are right, rebuilt", async () => {
  const upstream = await startRecordingUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    for (const [name, [bytes, line, header]] of Object.entries(ROWS)) {
      const before = upstream.messages().length;
      const { received } = await exchangeRaw(test.port, bytes, (text) => text.endsWith('{"ok":true}'));
      assert.match(received, /^HTTP\/1\.1 200 /, `${name}: ${received}`);
      const [message, ...more] = upstream.messages().slice(before) as [RecordedMessage];
      assert.equal(message.line, line, name);
      assert.deepEqual(more, [], name);
      assert.ok(header === undefined || message.headers.includes(header), `${name}: ${message.headers}`);
      assert.equal(message.headers.filter((field) => /^host:/i.test(field)).length, 1, name);
      assert.ok(!/x-sum|gateway\.example/i.test(message.headers.join("\n")), name);
    }
  } finally {
    await test.close();
    await upstream.close();
  }
});
