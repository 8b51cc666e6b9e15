import assert from "node:assert/strict";
import { createServer } from "node:http";
import { ask, echo, startUpstream, writeGatewayFiles } from "tests/environment/gateway.ts";

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface Exported {
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly attributes: readonly Attribute[];
      }[];
    }[];
  }[];
}

/** A collector that keeps what it gets. */
async function startCollector() {
  const bodies: Exported[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    if (request.url === "/v1/traces") bodies.push(JSON.parse(text));
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    spans: () =>
      bodies.flatMap(({ resourceSpans = [] }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans),
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

Deno.test("spans reach a collector with ids of our own, whatever the client sends", async () => {
  const traceparents: string[] = [];
  const upstream = await startUpstream((request, response) => {
    traceparents.push(String(request.headers.traceparent));
    echo(request, response);
  });
  const collector = await startCollector();
  const { folder, path } = await writeGatewayFiles({
    upstreams: [{ url: upstream.url }],
    edit: (config) => config.tracing = { endpoint: collector.url, share: 1 },
  });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", `--allow-read=${folder}`]
      .concat(
        "--allow-env=LOG_TOKENS,LOG_STREAM",
        new URL("./main.ts", import.meta.url).href,
        "--config",
        path,
      ),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = child.stdout.getReader();
  try {
    const { value } = await output.read();
    const { listen } = JSON.parse(new TextDecoder().decode(value)) as { listen: string };
    const foreign = "0af7651916cd43dd8448eb211c80319c";
    const seen = await ask(Number(listen.split(":").at(-1)), {
      headers: { traceparent: `00-${foreign}-b7ad6b7169203331-01`, baggage: "a=b" },
    });
    assert.equal(seen.status, 200);
    assert.equal(seen.headers.traceparent, undefined);
    const own = () => collector.spans().filter(({ name }) => name === "GET things");
    while (own().length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    const [span] = own();
    assert.equal(traceparents[0], `00-${span!.traceId}-${span!.spanId}-01`);
    assert.notEqual(span!.traceId, foreign);
    assert.ok(!span!.parentSpanId, "the root of its trace");
    const attributes = Object.fromEntries(
      span!.attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
    );
    assert.equal(attributes["gateway.request_id"], seen.headers["x-request-id"]);
    assert.equal(Number(attributes["http.response.status_code"]), 200);
    assert.doesNotMatch(JSON.stringify(collector.spans()), /urn:recovery-key:station|\/things\//);
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await output.cancel();
    await collector.close();
    await upstream.close();
    await Deno.remove(folder, { recursive: true });
  }
});
