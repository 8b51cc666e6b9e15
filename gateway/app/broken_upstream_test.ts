/** Instances that are slow, reset, lie about length, never end, or send garbage: told, cut, and no harm to anybody else. */

import assert from "node:assert/strict";
import {
  type Ask,
  ask,
  startTestGateway,
  type TestConfig,
  type TestGateway,
} from "tests/environment/gateway.ts";
import {
  type BrokenUpstream,
  type RawRequest,
  startBrokenUpstream,
} from "tests/environment/broken_upstream.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async function behind(
  answer: (request: RawRequest) => void,
  run: (test: TestGateway, upstream: BrokenUpstream) => Promise<void>,
  edit: (config: TestConfig) => void = () => {},
): Promise<void> {
  const upstream = await startBrokenUpstream(answer);
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      delete config.upstreams.echo.tls;
      config.upstreams.echo.health.unhealthyAfter = 100;
      edit(config);
    },
  });
  try {
    await run(test, upstream);
  } finally {
    await test.close();
    await upstream.close();
  }
}

const request = (test: TestGateway) => test.lines.findLast((line) => line.event === "request");
const POST: Ask = { method: "POST", body: "{}" };

/** What an instance sends -> status for the client, outcome in the metrics. */
const ANSWERS: Readonly<Record<string, readonly [bytes: string, status: number, outcome: string]>> = {
  "garbage": ["\x16\x03\x01 no HTTP at all\r\n\r\n", 502, "ANSWER_STATUS_LINE"],
  "HTTP/2": ["HTTP/2 200\r\nContent-Length: 2\r\n\r\nok", 502, "ANSWER_STATUS_LINE"],
  "a status of two digits": ["HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", 502, "ANSWER_STATUS_LINE"],
  "bare line feeds": ["HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n", 502, "ANSWER_STATUS_LINE"],
  "a folded header": ["HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", 502, "ANSWER_HEADER"],
  "a space before the colon": ["HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", 502, "ANSWER_HEADER"],
  "a NUL in a header": ["HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 2\r\n\r\nok", 502, "ANSWER_HEADER"],
  "two lengths": [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    502,
    "ANSWER_FRAMING",
  ],
  "a negative length": ["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", 502, "ANSWER_FRAMING"],
  "length and chunks": [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    502,
    "ANSWER_FRAMING",
  ],
  "an unknown coding": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    502,
    "ANSWER_FRAMING",
  ],
  "too many headers": [`HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(200)}\r\n`, 502, "ANSWER_HEADERS_MANY"],
  "endless headers": [`HTTP/1.1 200 OK\r\nA: ${"b".repeat(100_000)}`, 502, "ANSWER_HEAD_LARGE"],
  "endless interim answers": ["HTTP/1.1 102 Processing\r\n\r\n".repeat(20), 502, "ANSWER_INTERIM"],
  "another protocol": ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 502, "ANSWER_INTERIM"],
  "interim answers, then one": [
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
    200,
    "200",
  ],
  "a whole answer in chunks": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: 1\r\n\r\n",
    200,
    "200",
  ],
};

for (const [name, [bytes, status, outcome]] of Object.entries(ANSWERS)) {
  Deno.test(`gateway and an instance that sends ${name}: ${status}`, () =>
    behind(({ socket }) => socket.write(bytes, "latin1"), async (test, upstream) => {
      const seen = await ask(test.port, POST);
      assert.equal(seen.status, status, seen.text);
      if (status === 200) assert.equal(seen.text, "ok");
      assert.ok(!seen.text.includes(outcome) || status === 200, "the cause is the operator's");
      assert.match((await test.admin("/metrics")).text, new RegExp(`outcome="${outcome}"} 1`));
      assert.equal(upstream.requests.length, 1, "a plain POST is never sent twice");
    }));
}

Deno.test("gateway takes no byte behind an answer for the next one", () =>
  behind(
    ({ socket, text }) =>
      socket.write(
        text.includes("/things/1 ") ? `${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged` : OK,
      ),
    async (test, upstream) => {
      assert.equal((await ask(test.port)).text, "ok");
      assert.equal((await ask(test.port, { path: "/things/2" })).text, "ok");
      assert.equal(upstream.requests.length, 2);
    },
  ));

Deno.test("gateway takes nothing that an instance sends unasked for an answer", () =>
  behind(
    ({ socket, text }) => {
      socket.write(OK);
      if (text.includes("/things/1 ")) {
        setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"), 5);
      }
    },
    async (test, upstream) => {
      assert.equal((await ask(test.port)).text, "ok");
      const first = [...upstream.open];
      // Until the gateway has thrown the connection away.
      while (first.some((socket) => upstream.open.has(socket))) {await new Promise((resolve) =>
          setTimeout(resolve, 5)
        );}
      assert.equal((await ask(test.port, { path: "/things/2" })).text, "ok");
    },
  ));

Deno.test("gateway cuts what breaks off, in chunks and by length, and says so", () =>
  behind(
    ({ socket, text }) => {
      const long = "x".repeat(70_000);
      if (text.includes("/short ")) socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok`);
      else if (text.includes("/long ")) socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n${long}`);
      else if (text.includes("/chunks ")) {
        socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`);
      } else if (text.includes("/bad-chunks ")) {
        socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n`);
      } else socket.end(`HTTP/1.1 200 OK\r\n\r\n${long}`);
    },
    async (test) => {
      const post = (thing: string) => ask(test.port, { ...POST, path: `/things/${thing}` });
      assert.equal((await post("short")).status, 502, "nothing went out yet");
      for (const thing of ["long", "chunks", "bad-chunks"]) {
        assert.equal((await post(thing)).status, 0, thing);
        assert.equal(request(test)?.reason, "upstream-cut", thing);
      }
      assert.equal((await post("until-close")).text.length, 70_000, "the end of the connection is its end");
    },
  ));

Deno.test("gateway cuts an endless answer at the route's bound, and one that is too slow at its deadline", () =>
  behind(
    ({ socket, text }) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const piece = `${(10_000).toString(16)}\r\n${"x".repeat(10_000)}\r\n`;
      const timer = setInterval(() => socket.write(text.includes("/fast ") ? piece : "1\r\nx\r\n"), 5);
      socket.on("close", () => clearInterval(timer));
    },
    async (test, upstream) => {
      assert.equal((await ask(test.port, { path: "/things/fast" })).status, 0);
      assert.equal(request(test)?.reason, "upstream-answer-too-large");
      assert.equal((await ask(test.port, { path: "/things/slow" })).status, 0);
      assert.equal(request(test)?.reason, "upstream-deadline");
      while (upstream.open.size > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    (config) => Object.assign(config.routes[0], { maxAnswerBytes: 100_000, deadlineMs: 1_500 }),
  ));

Deno.test("gateway tells an instance how long it has, and hangs up when the client leaves", () =>
  behind(() => {}, async (test, upstream) => {
    const { rawClient } = await import("tests/environment/gateway.ts");
    const client = await rawClient(test.port);
    client.write("GET /things/1 HTTP/1.1\r\nHost: x\r\nX-Request-Timeout-Ms: 99999999\r\n\r\n");
    while (upstream.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const [told, ...more] = upstream.requests[0]!.matchAll(/x-request-timeout-ms: (\d+)/gi);
    assert.ok(Number(told![1]) > 0 && Number(told![1]) <= 10_000, upstream.requests[0]);
    assert.equal(more.length, 0);
    const asked = [...upstream.open].length;
    client.destroy();
    while (upstream.open.size >= asked && upstream.open.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(request(test)?.reason, "client-gone");
  }));

Deno.test("gateway opens the breaker of an instance that is ready and fails, and keeps one of two", async () => {
  const bad = await startBrokenUpstream(({ socket }) => socket.destroy());
  const good = await startBrokenUpstream(({ socket }) => socket.write(OK));
  const test = await startTestGateway({
    upstreams: [{ url: bad.url }, { url: good.url }],
    edit: (config) => {
      const { echo } = config.upstreams;
      delete echo.tls;
      echo.health.unhealthyAfter = 100;
      echo.breaker = { consecutiveFailures: 3, openMs: 600_000, maxOpenMs: 600_000 };
      // Retries hide failures; the budget lets three through.
      echo.retries = { share: 0, burst: 3 };
    },
  });
  try {
    for (let i = 0; i < 20; i++) assert.equal((await ask(test.port)).status, 200, `request ${i}`);
    assert.equal(bad.requests.length, 3);
    const { upstreams } = JSON.parse((await test.admin("/readyz")).text);
    assert.deepEqual(upstreams.echo.map((each: { circuit: string }) => each.circuit), ["open", "closed"]);
    assert.deepEqual(
      upstreams.echo.map((each: { state: string }) => each.state),
      ["up", "up"],
      "it says that it is ready",
    );
    const line = test.lines.find((each) => each.event === "upstream-breaker");
    assert.deepEqual([line?.state, line?.cause], ["open", "CLOSED"]);
  } finally {
    await test.close();
    await bad.close();
    await good.close();
  }
});

Deno.test("gateway stops retrying when the budget is empty", async () => {
  const bad = [1, 2].map(() => startBrokenUpstream(({ socket }) => socket.destroy()));
  const upstreams = await Promise.all(bad);
  const test = await startTestGateway({
    upstreams,
    edit: (config) => {
      const { echo } = config.upstreams;
      delete echo.tls;
      echo.instances = upstreams.map(({ url }) => ({ url }));
      echo.health.unhealthyAfter = 100;
      echo.breaker = { consecutiveFailures: 1_000, minimumRequests: 1_000 };
      echo.retries = { share: 0, burst: 4 };
    },
  });
  try {
    for (let i = 0; i < 10; i++) assert.equal((await ask(test.port)).status, 502);
    assert.equal(upstreams.reduce((sum, { requests }) => sum + requests.length, 0), 14);
    assert.match((await test.admin("/metrics")).text, /gateway_retries_refused_total\{pool="echo"\} 6/);
  } finally {
    await test.close();
    for (const upstream of upstreams) await upstream.close();
  }
});

Deno.test("gateway survives connections that instances close when they are used again", () =>
  behind(
    // Each connection is good for one answer, and closed at the moment at which the next request may be on its way.
    ({ socket }) => socket.write(OK, () => setTimeout(() => socket.destroy(), Math.random() * 3)),
    async (test) => {
      const seen = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const statuses = [];
          for (let i = 0; i < 15; i++) statuses.push((await ask(test.port, { method: "GET" })).status);
          return statuses;
        }),
      );
      // One instance alone: there is no second one to go to. What was lost is told as lost, never as something else.
      assert.deepEqual(seen.flat().filter((status) => status !== 200 && status !== 502), []);
      assert.ok(seen.flat().filter((status) => status === 200).length > 60);
    },
  ));

Deno.test("gateway lets a bounded number wait for a connection, and answers the others at once", () => {
  const waiting: (() => void)[] = [];
  return behind(
    ({ socket }) => waiting.push(() => socket.write(OK)),
    async (test) => {
      const all = Array.from({ length: 8 }, () => ask(test.port, POST));
      const refused = new Promise<void>((resolve) => {
        let busy = 0;
        for (const each of all) void each.then(({ status }) => status === 503 && ++busy === 4 && resolve());
      });
      await refused;
      assert.ok(test.lines.some((line) => line.reason === "upstream-busy"));
      let served = 0;
      for (const each of all) void each.then(() => served++);
      while (served < 8) {
        for (const answer of waiting.splice(0)) answer();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.deepEqual((await Promise.all(all)).map(({ status }) => status).sort(), [
        200,
        200,
        200,
        200,
        503,
        503,
        503,
        503,
      ]);
    },
    (config) =>
      Object.assign(config.upstreams.echo, {
        maxConnectionsPerInstance: 2,
        maxWaitingPerInstance: 2,
        connectTimeoutMs: 60_000,
        health: { ...config.upstreams.echo.health, intervalMs: 3_600_000 },
      }),
  );
});

Deno.test("gateway keeps a session at one instance while that is there, and sends a key again only where the route says so", async () => {
  const counts = new Map<string, number>();
  const upstreams = await Promise.all(
    ["a", "b", "c"].map((name) =>
      startBrokenUpstream(({ socket, text }) => {
        if (text.startsWith("POST")) {
          counts.set("posts", (counts.get("posts") ?? 0) + 1);
          return void socket.destroy();
        }
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${name}`);
      })
    ),
  );
  const test = await startTestGateway({
    edit: (config) => {
      const { echo } = config.upstreams;
      delete echo.tls;
      echo.instances = upstreams.map(({ url }) => ({ url }));
      echo.health.unhealthyAfter = 100;
      Object.assign(config.routes[0], { affinity: { header: "x-session" }, repeatWithKey: false });
      config.routes.push({ ...config.routes[0], name: "repeated", path: "/repeated", repeatWithKey: true });
    },
  });
  try {
    const of = async (session: string) => (await ask(test.port, { headers: { "x-session": session } })).text;
    const first = new Map<string, string>();
    for (let i = 0; i < 12; i++) first.set(`s${i}`, await of(`s${i}`));
    assert.ok(new Set(first.values()).size > 1, "sessions spread");
    for (const [session, instance] of first) assert.equal(await of(session), instance);
    const key = { ...POST, headers: { "idempotency-key": "k" } };
    assert.equal((await ask(test.port, key)).status, 502);
    assert.equal(counts.get("posts"), 1);
    assert.equal((await ask(test.port, { ...key, path: "/repeated" })).status, 502);
    assert.equal(counts.get("posts"), 3);
    await upstreams[0]!.close();
    for (const [session, instance] of first) {
      const now = await of(session);
      assert.ok(instance === "a" ? now !== "a" : now === instance, session);
    }
  } finally {
    await test.close();
    for (const upstream of upstreams) await upstream.close();
  }
});
