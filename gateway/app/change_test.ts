/** Instances that die, drain, hang or lie, and gateways that drain, all under load: no request may fail. */

import assert from "node:assert/strict";
import {
  ask,
  clientAgent,
  echo,
  type Seen,
  startTestGateway,
  startUpstream,
  type TestConfig,
} from "tests/environment/gateway.ts";

/** Runs `clients` clients, each sending one request after the other until `stop` says so. */
async function load(
  clients: number,
  send: (client: number, turn: number) => Promise<Seen>,
  stop: (sent: number) => boolean,
  at: (sent: number) => void = () => {},
): Promise<Seen[]> {
  const seen: Seen[] = [];
  let sent = 0;
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let turn = 0; !stop(sent); turn++) {
      at(++sent);
      seen.push(await send(client, turn));
    }
  }));
  return seen;
}

const failures = (seen: readonly Seen[]) =>
  seen.filter(({ status }) => status !== 200).map((s) => [s.status, s.code, s.text]);
const probeOften = (config: TestConfig) => config.upstreams.echo.health.intervalMs = 20;

for (
  const [how, headers, method] of [
    ["reads", {}, "GET"],
    ["posts with an Idempotency-Key", { "idempotency-key": '"k"' }, "POST"],
  ] as const
) {
  Deno.test(`gateway fails over without a failed request when an instance dies under ${how}`, async () => {
    const a = await startUpstream();
    const b = await startUpstream();
    const test = await startTestGateway({ upstreams: [{ url: a.url }, { url: b.url }], edit: probeOften });
    const agent = await clientAgent(test.pki.station, 8);
    try {
      const body = method === "POST" ? "{}" : undefined;
      const seen = await load(
        8,
        () => ask(test.port, { agent, method, headers, ...(body === undefined ? {} : { body }) }),
        (sent) => sent >= 400,
        (sent) => sent === 200 && a.kill(),
      );
      assert.deepEqual(failures(seen), []);
      assert.ok(a.requests > 20 && b.requests > 200, `${a.requests} and ${b.requests}`);
      const ready = JSON.parse((await test.admin("/readyz")).text);
      assert.deepEqual(ready.upstreams.echo.map((i: { state: string }) => i.state), ["down", "up"]);
    } finally {
      agent.destroy();
      await test.close();
      await b.close();
    }
  });
}

Deno.test("gateway brings an instance back that answers again", async () => {
  const a = await startUpstream();
  const b = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: a.url }, { url: b.url }], edit: probeOften });
  try {
    await a.close();
    for (let i = 0; i < 6; i++) assert.equal((await ask(test.port)).status, 200);
    const again = await startUpstream(echo, a.port);
    const isUp = () =>
      test.lines.some((l) =>
        l.event === "upstream-health" && l.state === "up" && test.lines.some((d) => d.state === "down")
      );
    while (!(isUp() && again.requests > 0)) assert.equal((await ask(test.port)).status, 200);
    await again.close();
  } finally {
    await test.close();
    await b.close();
  }
});

Deno.test("gateway sends nothing new to an instance that drains, and loses nothing of it", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  const a = await startUpstream(async (request, response) => {
    if (request.url === "/things/held") await held;
    await echo(request, response);
  });
  const b = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: a.url }, { url: b.url }], edit: probeOften });
  const agent = await clientAgent(test.pki.station, 8);
  try {
    // One of two requests for it reaches the instance that will drain.
    const waiting = [1, 2].map(() =>
      ask(test.port, { path: "/things/held", agent, method: "POST", body: "{}" })
    );
    await Promise.any(waiting);
    a.ready = false;
    while (!test.lines.some((l) => l.event === "upstream-health" && l.state === "down")) {
      assert.equal((await ask(test.port, { agent, method: "POST", body: "{}" })).status, 200);
    }
    const before = a.requests;
    const seen = await load(
      4,
      () => ask(test.port, { agent, method: "POST", body: "{}" }),
      (sent) => sent >= 50,
    );
    assert.deepEqual(failures(seen), []);
    assert.equal(a.requests, before);
    release();
    assert.deepEqual(failures(await Promise.all(waiting)), []);
  } finally {
    agent.destroy();
    await test.close();
    await a.close();
    await b.close();
  }
});

Deno.test("gateway never sends a plain POST twice", async () => {
  const a = await startUpstream((request) => request.socket.destroy());
  const b = await startUpstream((request) => request.socket.destroy());
  const test = await startTestGateway({ upstreams: [{ url: a.url }, { url: b.url }] });
  try {
    const seen = await ask(test.port, { method: "POST", body: "{}" });
    assert.equal(seen.status, 502);
    assert.equal(JSON.parse(seen.text).code, "GATEWAY_UPSTREAM_LOST");
    assert.equal(a.requests + b.requests, 1);
    const read = await ask(test.port, { method: "GET" });
    assert.equal(read.status, 502);
    assert.equal(a.requests + b.requests, 3, "a read was tried on both");
  } finally {
    await test.close();
    await a.close();
    await b.close();
  }
});

Deno.test("gateway says when no instance is there, and when one does not answer in time", async () => {
  const none = await startTestGateway();
  const hanging = await startUpstream(() => {});
  const slow = await startTestGateway({
    upstreams: [{ url: hanging.url }],
    edit: (config) => config.routes[0].deadlineMs = 100,
  });
  try {
    const nobody = await ask(none.port, { method: "POST", body: "{}" });
    assert.equal(nobody.status, 503);
    assert.equal(nobody.headers["retry-after"], "1");
    const late = await ask(slow.port, { method: "POST", body: "{}" });
    assert.equal(late.status, 504);
    assert.equal(JSON.parse(late.text).code, "GATEWAY_DEADLINE");
    assert.equal(hanging.requests, 1, "giving up does not send it again");
  } finally {
    await none.close();
    await slow.close();
    await hanging.close();
  }
});

Deno.test("gateway passes on what instances say, streams what is long, and never a part for the whole", async () => {
  const long = "x".repeat(300_000);
  const upstream = await startUpstream((request, response) => {
    switch (request.url) {
      case "/things/long":
        return void response.writeHead(200, { "connection": "x-hop", "x-hop": "1", "server": "s" }).end(long);
      case "/things/cut":
        response.writeHead(200, { "content-length": "300000" }).write("x".repeat(1000));
        return void setTimeout(() => request.socket.destroy(), 20);
      case "/things/short-cut":
        response.writeHead(200, { "content-length": "1000" }).write("x");
        return void setTimeout(() => request.socket.destroy(), 20);
      default:
        response.writeHead(503, { "content-type": "application/problem+json", "content-length": "2" }).end(
          "{}",
        );
    }
  });
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (c) => c.upstreams.echo.health.unhealthyAfter = 50,
  });
  try {
    const whole = await ask(test.port, { path: "/things/long" });
    assert.equal(whole.text, long);
    assert.equal(whole.headers["x-hop"], undefined);
    assert.equal(whole.headers["server"], undefined);
    assert.equal((await ask(test.port, { path: "/things/cut" })).status, 0, "broken off, as it was");
    assert.equal(
      (await ask(test.port, { path: "/things/short-cut" })).status,
      502,
      "read whole before a byte went out",
    );
    const said = await ask(test.port, { path: "/things/1" });
    assert.deepEqual([said.status, said.text], [503, "{}"], "the service's own word");
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway trusts an instance by its identity only", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => config.upstreams.echo.tls.serverIdentities = ["urn:recovery-key:attestation:other"],
  });
  try {
    assert.equal((await ask(test.port)).status, 503);
    assert.equal(upstream.requests, 0);
    const health = test.lines.find((line) => line.event === "upstream-health");
    assert.deepEqual([health?.state, health?.cause], ["down", "UPSTREAM_IDENTITY"]);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway reuses its connections to an instance", async () => {
  const upstream = await startUpstream();
  let connections = 0;
  upstream.server.on("connection", () => connections++);
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  const agent = await clientAgent(test.pki.station, 4);
  try {
    await load(4, () => ask(test.port, { agent }), (sent) => sent >= 100);
    assert.ok(connections <= 10, `${connections} connections for 100 requests`);
  } finally {
    agent.destroy();
    await test.close();
    await upstream.close();
  }
});

Deno.test("drain() under load fails no request: clients find the other gateway", async () => {
  const upstream = await startUpstream();
  const options = { upstreams: [{ url: upstream.url }] };
  const first = await startTestGateway(options);
  const second = await startTestGateway(options);
  const agents = await Promise.all(Array.from({ length: 8 }, () => clientAgent(first.pki.station, 1)));
  try {
    let drained: Promise<boolean> | undefined;
    let stopped = false;
    let readyWhileDraining = 0;
    const seen = await load(
      8,
      async (client) => {
        const answer = await ask(first.port, { agent: agents[client]!, method: "POST", body: "{}" });
        // A closed door is no failed request: nothing was sent.
        return answer.code === "ECONNREFUSED"
          ? await ask(second.port, { agent: agents[client]!, method: "POST", body: "{}" })
          : answer;
      },
      (sent) => stopped && sent >= 400,
      (sent) => {
        if (sent !== 150) return;
        drained = first.gateway.drain();
        void first.admin("/readyz").then(({ status }) => readyWhileDraining = status, () => {});
        void drained.then(() => stopped = true);
      },
    );
    assert.deepEqual(failures(seen), []);
    assert.equal(await drained, true, "everything ended by itself");
    assert.equal(readyWhileDraining, 503);
    assert.ok(first.lines.some((line) => line.event === "drained"));
  } finally {
    for (const agent of agents) agent.destroy();
    await first.close();
    await second.close();
    await upstream.close();
  }
});

Deno.test("drain() waits for what is in flight, not for ever", async () => {
  const hanging = await startUpstream(() => {});
  const test = await startTestGateway({
    upstreams: [{ url: hanging.url }],
    edit: (config) => config.drain = { timeoutMs: 300 },
  });
  try {
    const stuck = ask(test.port, { method: "POST", body: "{}" });
    while (hanging.requests === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await test.gateway.drain(), false);
    assert.equal((await stuck).status, 0);
  } finally {
    await test.close();
    await hanging.close();
  }
});
