/** Clients as people have them, through the strict reading and the firewall: none of them may be refused. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import https from "node:https";
import { startTestGateway, startUpstream, type TestConfig } from "tests/environment/gateway.ts";

const DOCUMENT = {
  openapi: "3.1.0",
  info: { title: "things", version: "1" },
  paths: {
    "/things/{thing}": {
      parameters: [{ name: "thing", in: "path", required: true, schema: { type: "string", maxLength: 60 } }],
      get: {
        parameters: [
          { name: "q", in: "query", schema: { type: "string" } },
          { name: "list[]", in: "query", schema: { type: "array", items: { type: "string" } } },
        ],
      },
      post: {
        requestBody: {
          content: {
            "application/json": {
              schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
            },
          },
        },
      },
    },
  },
};

const document = await Deno.makeTempFile({ suffix: ".json" });
await Deno.writeTextFile(document, JSON.stringify(DOCUMENT));
const upstream = await startUpstream();
const test = await startTestGateway({
  upstreams: [{ url: upstream.url }],
  edit: (config: TestConfig) => {
    config.apis = { things: { document } };
    config.routes[0].firewall = { api: "things" };
    config.routes[0].maxBodyBytes = 1_000_000;
  },
});
const { folder, port, pki } = test;
await Deno.writeTextFile(`${folder}/station.crt`, pki.station.certificatePem);
await Deno.writeTextFile(`${folder}/station.key`, pki.station.privateKeyPem);
// One gateway serves the whole file: its sockets and timers outlive each test.
const later = { sanitizeOps: false, sanitizeResources: false };
const origin = `https://127.0.0.1:${port}`;
const LARGE = JSON.stringify({ text: "ä".repeat(100_000) });

async function run(program: string, args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const curl = (...args: string[]) =>
  run("curl", [
    "--silent",
    "--show-error",
    "--cacert",
    `${folder}/servers.crt`,
    "--cert",
    `${folder}/station.crt`,
    "--key",
    `${folder}/station.key`,
    "--write-out",
    " %{http_code}",
    ...args,
  ]);

Deno.test(
  "gateway lets curl pass: plain, HTTP/1.0, two on one connection, large, chunked, expecting, brackets, UTF-8",
  later,
  async () => {
    const json = ["--header", "Content-Type: application/json"];
    await Deno.writeTextFile(`${folder}/large.json`, LARGE);
    const cases: readonly (readonly string[])[] = [
      [`${origin}/things/1`],
      ["--http1.0", `${origin}/things/1`],
      ["--head", `${origin}/things/1`].slice(1),
      ["--http2", `${origin}/things/1`],
      [
        "--compressed",
        "--user-agent",
        "Mozilla/5.0 (X11; Linux x86_64)",
        "--cookie",
        "a=b; c=d",
        "--referer",
        origin,
        `${origin}/things/1`,
      ],
      ["--get", "--data-urlencode", "q=a b&c=ä", `${origin}/things/1`],
      ["--globoff", `${origin}/things/1?list[]=a&list[]=b`],
      [`${origin}/things/%C3%A4%20b`],
      [...json, "--data", '{"text":"a"}', `${origin}/things/1`],
      [...json, "--data-binary", `@${folder}/large.json`, `${origin}/things/1`],
      [...json, "--header", "Expect: 100-continue", "--data", '{"text":"a"}', `${origin}/things/1`],
      [
        ...json,
        "--header",
        "Transfer-Encoding: chunked",
        "--data-binary",
        `@${folder}/large.json`,
        `${origin}/things/1`,
      ],
      [
        ...json,
        "--header",
        "TE: trailers",
        "--header",
        "Connection: TE, close",
        "--data",
        '{"text":"a"}',
        `${origin}/things/1`,
      ],
    ];
    for (const args of cases) {
      const seen = await curl(...args);
      assert.ok(seen.endsWith(" 200"), `${args.join(" ").slice(0, 200)}: ${seen.slice(-400)}`);
    }
    const twice = await curl(`${origin}/things/1`, `${origin}/things/2`);
    assert.equal(twice.match(/ 200/g)?.length, 2);
  },
);

Deno.test("gateway lets Deno's fetch and node's https pass", later, async () => {
  const client = Deno.createHttpClient({
    caCerts: [pki.servers.certificatePem],
    cert: pki.station.certificatePem,
    key: pki.station.privateKeyPem,
  });
  const stream = new ReadableStream({
    start: (controller) => {
      for (const part of ['{"text":', '"in pieces"', "}"]) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
  const headers = { "content-type": "application/json;charset=utf-8" };
  for (
    const [path, init] of [
      ["/things/1?q=a+b%26&list[]=x", {}],
      ["/things/1?q={a}|b^c`", {}],
      ["/things/it's", {}],
      ["/things/1", { method: "POST", headers, body: LARGE }],
      ["/things/1", { method: "POST", headers, body: stream }],
    ] as const
  ) {
    const answer = await fetch(
      `${origin}${path}`,
      { ...init, client, signal: AbortSignal.timeout(20_000) } as RequestInit & { client: Deno.HttpClient },
    );
    const text = await answer.text();
    assert.equal(answer.status, 200, `${path}: ${text}`);
  }
  client.close();
  const status = await new Promise<number>((resolve, reject) => {
    const request = https.request({
      host: "127.0.0.1",
      port,
      method: "POST",
      path: "/things/1",
      headers: { "content-type": "application/json" },
      ca: pki.servers.certificatePem,
      cert: pki.station.certificatePem,
      key: pki.station.privateKeyPem,
    }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
    });
    request.on("error", reject);
    request.write(Buffer.from('{"text":'));
    setTimeout(() => request.end(Buffer.from('"late"}')), 50);
  });
  assert.equal(status, 200);
});

const PYTHON = `
import http.client, json, ssl, sys, urllib.request
folder, port = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context(cafile=folder + "/servers.crt")
context.load_cert_chain(folder + "/station.crt", folder + "/station.key")
origin = "https://127.0.0.1:%d" % port
seen = [urllib.request.urlopen(origin + "/things/1?q=x", context=context).status]
post = urllib.request.Request(origin + "/things/1", json.dumps({"text": "a"}).encode(), {"Content-Type": "application/json"})
seen.append(urllib.request.urlopen(post, context=context).status)
connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
for _ in range(2):
    connection.request("POST", "/things/1", iter([b'{"text":', b'"a"}']), {"Content-Type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse(); answer.read(); seen.append(answer.status)
print(seen)
`;

Deno.test("gateway lets Python's urllib and http.client pass", later, async () => {
  // The interpreter's own folder is not needed: the program comes on standard input.
  assert.equal((await run("python3", ["-", folder, String(port)], PYTHON)).trim(), "[200, 200, 200, 200]");
});

Deno.test("gateway refused none of them", later, async () => {
  assert.deepEqual(test.lines.filter(({ reason }) => reason !== undefined), []);
  await test.close();
  await upstream.close();
  await Deno.remove(document);
});
