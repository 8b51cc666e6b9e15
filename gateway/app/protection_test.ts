/** Limits, addresses and overload at a whole gateway: two instances on one store, proxies, bans, sheds, slow takers. */

import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { connect } from "node:tls";
import {
  ask,
  clientAgent,
  echo,
  rawClient,
  startTestGateway,
  startUpstream,
  type TestConfig,
  type TestGateway,
  testPki,
} from "tests/environment/gateway.ts";
import { startRedis } from "tests/environment/redis.ts";

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const reasons = (test: TestGateway) => test.lines.map(({ reason }) => reason).filter(Boolean);

Deno.test("two gateways on one store admit together what one would, and say so", async () => {
  await using redis = await startRedis();
  const upstream = await startUpstream();
  const edit = (config: TestConfig) => {
    config.limitStore = { url: `redis://127.0.0.1:${redis.port}`, timeoutMs: 30_000 };
    config.rateLimits = {
      stations: { quota: 1, windowSeconds: 3_600, burst: 20 },
      addresses: { quota: 1, windowSeconds: 3_600, burst: 1_000, by: ["address"] },
      trial: { quota: 1, windowSeconds: 3_600, burst: 5, by: ["route"], dryRun: true },
    };
    config.routes[0].rateLimit = ["stations", "addresses", "trial"];
  };
  const options = { upstreams: [{ url: upstream.url }], edit };
  const gateways = await Promise.all([startTestGateway(options), startTestGateway(options)]);
  const agent = await clientAgent((await testPki()).station);
  try {
    for (const { lines } of gateways) {
      await until(() => lines.some(({ event, state }) => event === "limit-store" && state === "up"));
    }
    const seen = await Promise.all(
      Array.from({ length: 60 }, (_, i) => ask(gateways[i % 2]!.port, { agent })),
    );
    assert.equal(seen.filter(({ status }) => status === 200).length, 20);
    assert.equal(seen.filter(({ status }) => status === 429).length, 40);
    assert.equal(upstream.requests, 20);
    const refused = seen.find(({ status }) => status === 429)!;
    assert.equal(refused.headers["ratelimit-policy"], '"stations";q=1;w=3600, "addresses";q=1;w=3600');
    assert.match(String(refused.headers["ratelimit"]), /^"stations";r=0;t=\d+, "addresses";r=980;t=\d+$/);
    assert.ok(Number(refused.headers["retry-after"]) > 3_000);
    const lines = gateways.flatMap(({ lines }) => lines).filter(({ status }) => status !== undefined);
    assert.deepEqual(lines.find(({ status }) => status === 429)?.rules, ["stations"]);
    const dry = lines.filter(({ dryRun }) => Array.isArray(dryRun) && dryRun.includes("trial"));
    assert.ok(dry.some(({ status }) => status === 200), "a dry run stops nobody");
    const metrics = (await gateways[0]!.admin("/metrics")).text;
    assert.match(metrics, /gateway_rules_total\{rule="stations",outcome="refused"\} \d+/);
    assert.match(metrics, /gateway_limit_store_up 1/);
    await redis.kill();
    await until(() =>
      gateways[0]!.lines.some(({ event, state }) => event === "limit-store" && state === "gone")
    );
    const closed = await ask(gateways[0]!.port, { agent });
    assert.equal(closed.status, 503, "fail closed");
    assert.equal(closed.headers["retry-after"], "1");
  } finally {
    agent.destroy();
    await Promise.all(gateways.map((each) => each.close()));
    await upstream.close();
  }
});

Deno.test("attempts on one backup are counted by its keyed hash, whoever asks, in a header or the body", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.rateLimits = { recover: { quota: 1, windowSeconds: 3_600, burst: 2, by: ["backup"] } };
      config.backupKeyFile = keyFile;
      const [things, batches] = config.routes;
      Object.assign(things, { rateLimit: "recover", backup: { header: "backup-id" }, priority: "restore" });
      Object.assign(batches, { rateLimit: "recover", backup: { pointer: "/backup/id" } });
    },
  });
  try {
    const byHeader = (id: string) => ask(test.port, { headers: { "backup-id": id } });
    const byBody = (body: unknown) =>
      ask(test.port, { as: test.pki.manager, method: "POST", path: "/batches", body: JSON.stringify(body) });
    assert.equal((await byHeader("backup-one")).status, 200);
    assert.equal((await byBody({ backup: { id: "backup-one" } })).status, 200);
    assert.equal((await byHeader("backup-one")).status, 429, "the third attempt on the same backup");
    assert.equal((await byBody({ backup: { id: "backup-one" } })).status, 429);
    assert.equal((await byHeader("backup-two")).status, 200);
    for (const body of [{}, { backup: 1 }, { backup: { id: 7 } }, { backup: { id: "" } }]) {
      assert.equal((await byBody(body)).status, 400, JSON.stringify(body));
    }
    assert.equal((await ask(test.port)).status, 400);
    assert.ok(reasons(test).includes("backup-identifier"));
    assert.ok(!JSON.stringify(test.lines).includes("backup-one"), "the log names no backup");
  } finally {
    await test.close();
    await upstream.close();
  }
});

const keyFile = await Deno.makeTempFile({ prefix: "backup-key-" });
await Deno.writeFile(keyFile, crypto.getRandomValues(new Uint8Array(32)));
globalThis.addEventListener("unload", () => Deno.removeSync(keyFile));

Deno.test("behind a trusted proxy the client is who the proxy names, and nobody else can name one", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.clientAddress = { from: "x-forwarded-for", trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"] };
      config.denyNetworks = ["203.0.113.0/24"];
      config.routes[0].networks = ["198.51.100.0/24", "127.0.0.0/8"];
    },
  });
  const from = async (value: string) => {
    const seen = await ask(test.port, { headers: { "x-forwarded-for": value, "client-cert": ":AA==:" } });
    return [seen.status, seen.status === 200 ? JSON.parse(seen.text).headers.forwarded : undefined];
  };
  try {
    assert.deepEqual(await from("198.51.100.7"), [200, "for=198.51.100.7;proto=https"]);
    assert.deepEqual(await from("198.51.100.9, 198.51.100.7, 10.1.1.1"), [
      200,
      "for=198.51.100.7;proto=https",
    ]);
    assert.deepEqual(
      await from("198.51.100.7, 192.0.2.1"),
      [403, undefined],
      "what stands further left is hearsay",
    );
    assert.deepEqual(await from("203.0.113.5"), [403, undefined]);
    assert.deepEqual(await from("garbage"), [400, undefined]);
    assert.deepEqual(
      reasons(test).filter((reason) =>
        String(reason).startsWith("address") || reason === "forwarded-malformed"
      ),
      ["address-denied", "forwarded-malformed"],
    );
    const forged = JSON.parse((await ask(test.port, { headers: { "client-cert": ":AA==:" } })).text);
    assert.notEqual(forged.headers["client-cert"], ":AA==:");
    assert.match(forged.headers["client-cert"], /^:[A-Za-z0-9+/=]{200,}:$/);
  } finally {
    await test.close();
    await upstream.close();
  }
});

/** A PROXY protocol header, version 2, that names 198.51.100.7. */
const PROXY = new Uint8Array([
  ...[13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10],
  ...[0x21, 0x11, 0, 12, 198, 51, 100, 7, 127, 0, 0, 1, 0x30, 0x39, 0x20, 0xfb],
]);

/** One request on a connection that begins with these bytes; an empty text when it was closed. */
function behindProxy(
  port: number,
  preface: Uint8Array,
  split: boolean,
  localAddress = "127.0.0.1",
): Promise<string> {
  return new Promise((resolve) => {
    const raw = connectTcp({ port, host: "127.0.0.1", localAddress });
    let received = "";
    raw.on("error", () => {});
    raw.once("close", () => resolve(received));
    raw.once("connect", async () => {
      raw.write(preface.subarray(0, split ? 5 : preface.length));
      if (split) {
        await new Promise((next) => setTimeout(next, 50));
        raw.write(preface.subarray(5));
        await new Promise((next) => setTimeout(next, 50));
      }
      const pki = await testPki();
      const socket = connect({
        socket: raw,
        ca: pki.servers.certificatePem,
        cert: pki.station.certificatePem,
        key: pki.station.privateKeyPem,
        servername: "localhost",
      });
      socket.on("error", () => {});
      socket.on("data", (part: Uint8Array) => received += new TextDecoder().decode(part));
      socket.once("secureConnect", () => {
        socket.write("GET /things/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      });
    });
  });
}

Deno.test("the PROXY protocol in front of TLS names the client, in one segment with it or in pieces", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.clientAddress = { from: "proxy-protocol", trustedProxies: ["127.0.0.1/32"] };
      config.denyNetworks = ["203.0.113.0/24"];
    },
  });
  try {
    for (const split of [false, true]) {
      assert.match(await behindProxy(test.port, PROXY, split), /for=198\.51\.100\.7;proto=https/);
    }
    const local = PROXY.with(12, 0x20);
    assert.match(await behindProxy(test.port, local, false), /for=127\.0\.0\.1;proto=https/);
    const denied = PROXY.with(16, 203).with(17, 0).with(18, 113);
    assert.equal(await behindProxy(test.port, denied, false), "");
    for (const bad of [PROXY.with(0, 14), PROXY.with(12, 0x31), PROXY.with(13, 0x31), PROXY.with(14, 255)]) {
      assert.equal(await behindProxy(test.port, bad, false), "");
    }
    assert.equal((await ask(test.port)).status, 0, "nobody comes in without a header");
    assert.equal(
      await behindProxy(test.port, PROXY, false, "127.0.0.2"),
      "",
      "nor with one from another address",
    );
    assert.ok(reasons(test).includes("address-denied"));
    assert.ok(test.lines.some(({ code }) => code === "PROXY_HEADER"));
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("an address that fails its handshakes is closed before TLS, and banned; others are served", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.listen.address = "0.0.0.0";
      config.handshakes = { failedPerAddress: { quota: 1, windowSeconds: 3_600, burst: 4 } };
      config.bans = { threshold: 9, points: { handshake: 1, block: 5 }, never: ["127.0.0.1/32"] };
    },
  });
  const bad = () =>
    new Promise<void>((resolve) => {
      const socket = connectTcp({ port: test.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
      socket.on("error", () => {});
      socket.once("connect", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
      socket.once("close", () => resolve());
      socket.resume();
    });
  try {
    for (let n = 0; n < 8; n++) await bad();
    assert.equal(reasons(test).filter((reason) => reason === "handshake-failed").length, 4);
    assert.equal(reasons(test).filter((reason) => reason === "handshakes-failed").length, 4);
    assert.equal((await ask(test.port)).status, 200, "another address");
    // Requests that are refused for what they are, from an address that may be banned.
    for (const path of ["/things/%00", "/things/../1"]) await ask(test.port, { path });
    assert.ok(!test.lines.some(({ event }) => event === "address-banned"), "127.0.0.1 is never banned");
    assert.equal((await ask(test.port)).status, 200);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("a ban closes the address's connections at accept, refuses its open ones, and ends", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.bans = { threshold: 9, points: { block: 5 }, banSeconds: 2, maxBanSeconds: 2 };
    },
  });
  const agent = await clientAgent(test.pki.station, 1);
  try {
    assert.equal((await ask(test.port, { agent })).status, 200);
    for (let n = 0; n < 2; n++) assert.equal((await ask(test.port, { path: "/things/%00" })).status, 400);
    await until(() => test.lines.some(({ event }) => event === "address-banned"));
    assert.equal((await ask(test.port, { agent })).status, 429, "on a connection that was open");
    assert.equal((await ask(test.port)).status, 0, "on a new one");
    await until(async () => (await ask(test.port)).status === 200);
    assert.ok(reasons(test).filter((reason) => reason === "address-banned").length >= 2);
  } finally {
    agent.destroy();
    await test.close();
    await upstream.close();
  }
});

Deno.test("what is beyond the limit of concurrency or of the pool is refused at once, the least important first", async () => {
  const waiting: (() => void)[] = [];
  const upstream = await startUpstream((request, response) =>
    void waiting.push(() => echo(request, response))
  );
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.upstreams.echo.overload = { initial: 4, min: 4, max: 4 };
      config.concurrencyLimits = { few: { max: 2 } };
      const [things, batches] = config.routes;
      Object.assign(things, { priority: "restore" });
      Object.assign(batches, { priority: "factory", concurrency: ["few"] });
    },
  });
  const station = await clientAgent(test.pki.station);
  const manager = await clientAgent(test.pki.manager);
  const factory = () => ask(test.port, { agent: manager, method: "POST", path: "/batches", body: "{}" });
  const restore = () => ask(test.port, { agent: station });
  /** A request that waits at the upstream as the `count`-th: the place of an answered one is given back a moment later. */
  const accepted = async (send: typeof restore, count: number): Promise<ReturnType<typeof restore>[]> => {
    for (let attempt = 0; attempt < 100; attempt++) {
      const answer = send();
      const early = await Promise.race([answer, until(() => waiting.length === count)]);
      if (early === undefined) return [answer];
      assert.equal(early.status, 503);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error("no place was given back");
  };
  try {
    const first = [factory(), factory()];
    await until(() => waiting.length === 2);
    const third = await factory();
    assert.equal(third.status, 429, "two of one identity at the same time");
    assert.equal(third.headers["retry-after"], "1");
    first.push(restore());
    await until(() => waiting.length === 3);
    waiting.shift()!();
    // Which of the two came first is the network's matter.
    const answered = await Promise.race(first.map((answer, i) => answer.then(() => i)));
    assert.equal((await first.splice(answered, 1)[0]!).status, 200);
    first.push(...await accepted(restore, 3));
    const shed = await factory();
    assert.equal(shed.status, 503, "three of four are taken: the rest is not for the factory");
    assert.equal(shed.headers["retry-after"], "1");
    first.push(...await accepted(restore, 4));
    assert.equal((await restore()).status, 503, "full");
    waiting.forEach((answer) => answer());
    assert.deepEqual((await Promise.all(first)).map(({ status }) => status), [200, 200, 200, 200]);
    assert.ok(reasons(test).includes("overloaded") && reasons(test).includes("concurrency-limited"));
    const again = factory();
    await until(() => waiting.length === 5);
    waiting[4]!();
    assert.equal((await again).status, 200, "every place was given back");
  } finally {
    station.destroy();
    manager.destroy();
    await test.close();
    await upstream.close();
  }
});

Deno.test("a client that does not take its answer loses its connection", async () => {
  const upstream = await startUpstream((_request, response) => {
    response.on("error", () => {});
    // More than the sockets between the two ends hold.
    response.writeHead(200, { "content-type": "application/octet-stream" }).end(
      new Uint8Array(64 * 1024 * 1024),
    );
  });
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.limits = { answerTimeoutMs: 500 };
      config.routes[0].deadlineMs = 60_000;
    },
  });
  try {
    await Deno.writeTextFile(`${test.folder}/station.crt`, test.pki.station.certificatePem);
    await Deno.writeTextFile(`${test.folder}/station.key`, test.pki.station.privateKeyPem);
    // curl, because this runtime's own client reads on while it is paused.
    const curl = new Deno.Command("curl", {
      args: ["-sk", "--cert", "station.crt", "--key", "station.key", "--limit-rate", "1k", "-o", "/dev/null"]
        .concat(`https://127.0.0.1:${test.port}/things/1`),
      cwd: test.folder,
    }).spawn();
    await until(() => test.lines.some(({ event, route }) => event === "request" && route === "things"));
    await until(async () => /gateway_connections 0/.test((await test.admin("/metrics")).text));
    curl.kill();
    await curl.status;
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("a reload takes new networks from files, also from connections that are open", async () => {
  const upstream = await startUpstream();
  const list = await Deno.makeTempFile({ prefix: "networks-" });
  await Deno.writeTextFile(list, "# nobody yet\n\n203.0.113.0/24 # but these\n");
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => config.denyNetworkFiles = [list],
  });
  const agent = await clientAgent(test.pki.station, 1);
  try {
    assert.equal((await ask(test.port, { agent })).status, 200);
    await Deno.writeTextFile(list, "127.0.0.1/8\n");
    await assert.rejects(test.gateway.reload(), { code: "GATEWAY_FILE" });
    assert.equal((await ask(test.port, { agent })).status, 200, "nothing of a wrong list is taken");
    await Deno.writeTextFile(list, "127.0.0.0/8\r\n");
    const idle = await rawClient(test.port);
    const closed = new Promise<void>((resolve) => idle.once("close", () => resolve()));
    idle.resume();
    await test.gateway.reload();
    await closed;
    assert.equal((await ask(test.port)).status, 0);
  } finally {
    agent.destroy();
    await test.close();
    await upstream.close();
    await Deno.remove(list);
  }
});
