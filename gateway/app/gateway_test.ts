import assert from "node:assert/strict";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { verifyCertificate } from "shared/protocol/x509/verification.ts";
import type { Verifier } from "../service/peers.ts";
import {
  ask,
  clientAgent,
  echo,
  type Seen,
  startTestGateway,
  startUpstream,
  type TestConfig,
  testPki,
  writeGatewayFiles,
} from "tests/environment/gateway.ts";
import { checkGateway } from "./gateway.ts";

const problem = (seen: Seen) => JSON.parse(seen.text) as { code: string; status: number; instance: string };
const stationOnly = (config: TestConfig) => config.routes[0];

Deno.test("startGateway() proves each refusal for its own reason before it serves", async () => {
  const test = await startTestGateway();
  try {
    assert.deepEqual(test.lines.find((line) => line.event === "canaries-proven")?.proven, [
      "valid TLSv1.2: accepted",
      "expired TLSv1.2: certificate-expired",
      "revoked TLSv1.2: certificate-revoked",
      "none TLSv1.2: certificate-missing",
      "rogue TLSv1.2: authority-unknown",
      "valid TLSv1.3: accepted",
      "expired TLSv1.3: certificate-expired",
      "revoked TLSv1.3: certificate-revoked",
      "none TLSv1.3: certificate-missing",
      "rogue TLSv1.3: authority-unknown",
      // That the session was resumed is the runtime's hole: when this changes, see the platform facts anew.
      "resumed TLSv1.3 session: authority-unknown",
    ]);
    assert.equal(
      (await ask(test.port, { as: test.pki.canary })).status,
      403,
      "after the proof a canary is nobody",
    );
  } finally {
    await test.close();
  }
});

/** Verifiers that are broken in one way each, and what the proof has to say of them. */
const BROKEN: Readonly<Record<string, readonly [broken: Verifier, fault: RegExp]>> = {
  "accepts everybody": [
    (chain, _trust, { now }) =>
      Promise.resolve({
        kind: "accept",
        identity: "urn:recovery-key:station:a",
        fingerprint: String(chain.length),
        authority: "any",
        validUntil: now + 1_000_000,
      }),
    /revoked .* but was accepted.*resumed/,
  ],
  "knows no revocation": [
    async (chain, trust, options) =>
      await verifyCertificate(chain, {
        authorities: trust.authorities.map((a) => ({ ...a, whenStale: "accept" as const, list: undefined })),
      }, options),
    /^(?!.*expired \().*revoked \(TLSv1\.3\) has to be certificate-revoked, but was accepted/,
  ],
  "knows no dates": [
    async (chain, trust, options) => {
      const verdict = await verifyCertificate(chain, trust, options);
      return verdict.kind === "refuse" && verdict.reason === "certificate-expired"
        ? { kind: "accept", identity: "urn:x:y", fingerprint: "", authority: "", validUntil: Infinity }
        : verdict;
    },
    /expired \(TLSv1\.2\) has to be certificate-expired, but was tls-unauthorized/,
  ],
  "refuses everybody": [
    (_chain, _trust, { now }) =>
      Promise.resolve({ kind: "refuse", reason: "certificate-malformed", validUntil: now }),
    /valid \(TLSv1\.3\) has to be accepted, but was certificate-malformed/,
  ],
  "throws": [() => Promise.reject(new Error("planted")), /valid .* was verification-fault/],
};

for (const [name, [verifier, fault]] of Object.entries(BROKEN)) {
  Deno.test(`startGateway() does not serve with a verifier that ${name}`, async () => {
    await assert.rejects(startTestGateway({ verifier }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "GATEWAY_CANARY");
      assert.match(error.message, fault);
      return true;
    });
  });
}

Deno.test("startGateway() does not serve when a canary file is of the wrong kind", async () => {
  const swap = (kind: string, file: string) => (config: TestConfig) =>
    config.canaries[kind] = { certificate: `${file}.crt`, key: `${file}.key` };
  for (
    const [kind, file] of [["revoked", "canary-valid"], ["expired", "canary-revoked"], [
      "valid",
      "canary-expired",
    ]]
  ) {
    const edit = swap(kind!, file!);
    await assert.rejects(startTestGateway({ edit }), { code: "GATEWAY_CANARY" });
    const { folder, path } = await writeGatewayFiles({ edit });
    await assert.rejects(checkGateway(path), { code: "GATEWAY_CANARY" }, "--check finds it without serving");
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("startGateway() says which address it cannot have", async () => {
  const upstream = await startUpstream();
  try {
    const edit = (config: TestConfig) => config.listen.port = upstream.port;
    await assert.rejects(startTestGateway({ edit }), { code: "GATEWAY_LISTEN" });
  } finally {
    await upstream.close();
  }
});

Deno.test("gateway refuses clients for precise reasons that only the log tells", async () => {
  const test = await startTestGateway();
  try {
    for (
      const [as, reason] of [
        [test.pki.expired, "certificate-expired"],
        [test.pki.revoked, "certificate-revoked"],
        [test.pki.upstream, "authority-unknown"],
        [null, "certificate-missing"],
      ] as const
    ) {
      const seen = await ask(test.port, { as });
      assert.equal(seen.status, 0, `${reason}: ${seen.status}`);
      const line = test.lines.findLast((l) => l.event === "connection-refused");
      assert.equal(line?.reason, reason);
    }
  } finally {
    await test.close();
  }
});

Deno.test("gateway rebuilds what it forwards: no forged identity, no hop-by-hop field, one framing", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    const seen = await ask(test.port, {
      method: "POST",
      path: "/things/1?x=%20y",
      body: '{"a":1}',
      headers: {
        "Client-Cert": ":Zm9yZ2Vk:",
        "Client-Cert-Chain": ":Zm9yZ2Vk:",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Anything": "6",
        "Forwarded": "for=6.6.6.6",
        "X-Request-Id": "mine",
        "traceparent": "00-00000000000000000000000000000001-0000000000000001-01",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "gone",
        "X-Custom": "kept",
        "__proto__": "a header like any other",
      },
    });
    assert.equal(seen.status, 200, JSON.stringify(test.lines.slice(-3)));
    const got = JSON.parse(seen.text) as { url: string; body: string; headers: Record<string, string> };
    assert.equal(got.url, "/things/1?x=%20y");
    assert.equal(got.body, '{"a":1}');
    assert.equal(got.headers["x-custom"], "kept");
    for (const name of ["x-hop", "client-cert-chain", "x-forwarded-for", "x-forwarded-anything"]) {
      assert.equal(got.headers[name], undefined, name);
    }
    const der = new Uint8Array(test.pki.station.certificate.rawData);
    assert.equal(got.headers["client-cert"], `:${der.toBase64()}:`);
    assert.equal(got.headers["forwarded"], "for=127.0.0.1;proto=https");
    const ids = ["mine", seen.headers["x-request-id"], got.headers["x-request-id"]];
    assert.equal(new Set(ids).size, 3, "client, gateway and upstream: each boundary has its own identifier");
    assert.doesNotMatch(got.headers["traceparent"]!, /0{31}1/);
    assert.equal(got.headers["content-length"], "7");
    assert.equal(got.headers["host"], `127.0.0.1:${upstream.port}`);
    const line = test.lines.findLast((l) => l.event === "request")!;
    assert.deepEqual(
      [line.identity, line.route, line.status, line.path, line.requestId, line.upstreamRequestId],
      ["urn:recovery-key:station:a", "things", 200, "/things/1", ...ids.slice(1)],
    );
    assert.doesNotMatch(
      JSON.stringify(test.lines),
      /"a":1|forged|x=%20/i,
      "no body, header value or query in the log",
    );
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway answers what a route does not allow with a problem", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) =>
      config.routes.push({ ...stationOnly(config), name: "far", path: "/far", networks: ["10.0.0.0/8"] }),
  });
  try {
    const cases = [
      [{ path: "/nothing" }, 404, "GATEWAY_NOT_FOUND", "route-unknown"],
      [{ method: "DELETE" }, 405, "GATEWAY_METHOD", "method-not-allowed"],
      [
        { method: "POST", body: "x", headers: { "content-type": "text/plain" } },
        415,
        "GATEWAY_MEDIA_TYPE",
        "media-type",
      ],
      [{ as: test.pki.manager }, 403, "GATEWAY_FORBIDDEN", "identity-not-allowed"],
      [{ path: "/far" }, 403, "GATEWAY_FORBIDDEN", "network-not-allowed"],
      [{ method: "POST", body: "x".repeat(1_001) }, 413, "GATEWAY_TOO_LARGE", "body-too-large"],
      [{ path: `/things/${"a".repeat(3_000)}` }, 414, "GATEWAY_URI_TOO_LONG", "target-too-long"],
      [{ headers: { a: "b".repeat(20_000) } }, 431, "GATEWAY_HEADERS_TOO_LARGE", "headers-too-large"],
      [
        { headers: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`h${i}`, "1"])) },
        431,
        "GATEWAY_HEADERS_TOO_LARGE",
        "headers-too-many",
      ],
    ] as const;
    for (const [what, status, code, reason] of cases) {
      const seen = await ask(test.port, what);
      assert.equal(seen.status, status, `${reason}: ${seen.text} ${seen.code}`);
      assert.equal(seen.headers["content-type"], "application/problem+json");
      assert.equal(problem(seen).code, code);
      assert.ok(!seen.text.includes(reason), "the reason is the operator's");
      const line = test.lines.findLast((l) => l.reason === reason)!;
      assert.equal(problem(seen).instance, `urn:uuid:${line.requestId}`, "found by the request identifier");
    }
    assert.equal((await ask(test.port, { method: "DELETE" })).headers["allow"], "GET, POST, PUT");
    assert.equal(upstream.requests, 0, "nothing of it went upstream");
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway limits by identity and says so", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => {
      config.rateLimits = { stations: { quota: 1, windowSeconds: 3_600, burst: 3 } };
      for (const route of config.routes) route.rateLimit = "stations";
    },
  });
  try {
    const first = await ask(test.port);
    assert.equal(first.headers["ratelimit-policy"], '"stations";q=1;w=3600');
    assert.match(String(first.headers["ratelimit"]), /^"stations";r=2;t=\d+$/);
    await ask(test.port);
    assert.equal((await ask(test.port)).status, 200);
    const refused = await ask(test.port);
    assert.equal(refused.status, 429);
    assert.equal(problem(refused).code, "GATEWAY_LIMITED");
    assert.match(String(refused.headers["ratelimit"]), /^"stations";r=0;t=\d+$/);
    assert.ok(Number(refused.headers["retry-after"]) > 3_000);
    assert.equal(upstream.requests, 3);
    const other = await ask(test.port, {
      as: test.pki.manager,
      method: "POST",
      path: "/batches",
      body: "{}",
    });
    assert.equal(other.status, 200, "another identity has its own");
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway closes denied addresses and excess connections at accept", async () => {
  const denied = await startTestGateway({ edit: (config) => config.denyNetworks = ["127.0.0.2/32"] });
  const full = await startTestGateway({ edit: (config) => config.limits = { maxConnectionsPerAddress: 2 } });
  try {
    const { Socket } = await import("node:net");
    const from = (port: number, localAddress: string) =>
      new Promise<InstanceType<typeof Socket>>((resolve) => {
        const socket = new Socket();
        socket.on("error", () => {}).connect(
          { port, host: "127.0.0.1", localAddress },
          () => resolve(socket),
        );
      });
    const closes = (socket: InstanceType<typeof Socket>) =>
      new Promise<void>((resolve) => socket.once("close", () => resolve()).resume());
    await closes(await from(denied.port, "127.0.0.2"));
    assert.equal(denied.lines.at(-1)?.reason, "address-denied");
    const open = [await from(full.port, "127.0.0.1"), await from(full.port, "127.0.0.1")];
    await closes(await from(full.port, "127.0.0.1"));
    assert.equal(full.lines.at(-1)?.reason, "address-connections-full");
    for (const socket of open) socket.destroy();
  } finally {
    await denied.close();
    await full.close();
  }
});

Deno.test("reload() takes revocation from open connections, refuses a faulty file as a whole", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  const agent = await clientAgent(test.pki.station, 1);
  try {
    assert.equal((await ask(test.port, { agent })).status, 200);
    const text = await Deno.readTextFile(test.configPath);
    await Deno.writeTextFile(test.configPath, text.replace("/things/{thing}", "things"));
    await assert.rejects(test.gateway.reload(), { code: "GATEWAY_CONFIG" });
    await Deno.writeTextFile(test.configPath, text);
    const list = await makeCrl(test.pki.clients, {
      now: Date.now() - 1000,
      revoked: [test.pki.station.serialNumber],
    });
    await Deno.writeTextFile(`${test.folder}/clients.crl`, list);
    await assert.rejects(
      test.gateway.reload(),
      { code: "GATEWAY_CANARY" },
      "a list without the revoked canary is not ours",
    );
    assert.equal((await ask(test.port, { agent })).status, 200, "nothing changed");
    const both = [test.pki.station.serialNumber, test.pki.revoked.serialNumber];
    await Deno.writeTextFile(
      `${test.folder}/clients.crl`,
      await makeCrl(test.pki.clients, { now: Date.now() - 1000, revoked: both }),
    );
    await test.gateway.reload();
    assert.equal((await ask(test.port, { agent })).status, 0, "on the connection that was open");
    const taken = test.lines.findLast((l) => l.event === "connection-refused" && l.open === true);
    assert.equal(taken?.reason, "certificate-revoked", "closed by the reload itself");
    assert.equal((await ask(test.port, { as: null })).status, 0, "a certificate is required still");
    const manager = { as: test.pki.manager, method: "POST", path: "/batches", body: "{}" };
    assert.equal(
      (await ask(test.port, manager)).status,
      200,
      "others go on, also after the certificate was renewed",
    );
  } finally {
    agent.destroy();
    await test.close();
    await upstream.close();
  }
});

Deno.test("admin listener shows health and metrics without identities", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    await ask(test.port);
    assert.equal((await test.admin("/healthz")).status, 200);
    const ready = await test.admin("/readyz");
    assert.equal(ready.status, 200);
    assert.deepEqual(JSON.parse(ready.text).upstreams, {
      echo: [{ instance: `127.0.0.1:${upstream.port}`, state: "up", circuit: "closed" }],
    });
    const metrics = (await test.admin("/metrics")).text;
    assert.match(metrics, /gateway_requests_total\{route="things",status="200"\} 1/);
    assert.match(metrics, /gateway_ready 1/);
    assert.match(metrics, /gateway_upstream_up\{pool="echo",instance="127.0.0.1:\d+"\} 1/);
    assert.match(metrics, /gateway_revocation_next_update_seconds\{authority="test clients"\} 1\d{9}/);
    assert.doesNotMatch(metrics, /urn:/);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("gateway waits with 100 (Continue) until it has decided", async () => {
  const upstream = await startUpstream(echo);
  const test = await startTestGateway({ upstreams: [{ url: upstream.url }] });
  try {
    const { exchangeRaw } = await import("tests/environment/gateway.ts");
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n`;
    const seen = await exchangeRaw(test.port, head("/things/1"), (text) => text.includes("100 Continue"));
    assert.match(seen.received, /^HTTP\/1\.1 100 Continue/);
    const refused = await exchangeRaw(
      test.port,
      head("/nothing"),
      (text) => text.includes("GATEWAY_NOT_FOUND"),
    );
    assert.match(refused.received, /^HTTP\/1\.1 404/);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("testPki() is one for a process", async () => assert.equal(await testPki(), await testPki()));
