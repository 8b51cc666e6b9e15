import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import { ask, startTestGateway, startUpstream } from "tests/environment/gateway.ts";

/** Asks the admin listener under another name. */
function askAs(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port, path: "/", headers: { host }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", reject);
  });
}

Deno.test("status page shows who asks, what is refused, what leaves, and until when certificates last", async () => {
  const upstream = await startUpstream();
  const test = await startTestGateway({
    upstreams: [{ url: upstream.url }],
    edit: (config) => config.outbound = { windowSeconds: 1, floorBytes: 0, ceilingBytes: 100 },
  });
  try {
    for (let i = 0; i < 3; i++) await ask(test.port);
    await ask(test.port, { path: "/nothing" });
    await ask(test.port, { as: test.pki.revoked });
    const page = await fetch(`http://${test.gateway.admin}/`);
    const text = await page.text();
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'; style-src 'sha256-/);
    const style = /<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    assert.ok(page.headers.get("content-security-policy")?.includes(`'sha256-${hash}'`), "the style counts");
    assert.equal(page.headers.get("cache-control"), "no-store");
    assert.doesNotMatch(text, /<script|style="|javascript:/);
    assert.match(text, /<meta http-equiv="refresh" content="5">/);
    assert.match(text, /urn:recovery-key:station:a<\/code>/);
    for (
      const words of ["route-unknown", "certificate-revoked", "listener", "upstream echo", "test clients"]
    ) {
      assert.ok(text.includes(words), words);
    }
    const status = JSON.parse((await test.admin("/status.json")).text);
    assert.equal(status.config.generation, 1);
    assert.deepEqual(status.upstreams, [
      { pool: "echo", instance: `127.0.0.1:${upstream.port}`, state: "up", circuit: "closed" },
    ]);
    const talker = status.activity.talkers[0];
    assert.deepEqual([talker.identity, talker.requests, talker.refused], [
      "urn:recovery-key:station:a",
      4,
      1,
    ]);
    assert.ok(talker.bytes > 500);

    // Answers of three requests are more than the ceiling of 100 bytes: the window's end says so.
    while (!test.lines.some(({ event }) => event === "outbound-alarm")) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const alarm = test.lines.find(({ event }) => event === "outbound-alarm")!;
    assert.equal(alarm.change, "raised");
    const metrics = (await test.admin("/metrics")).text;
    assert.match(metrics, /gateway_outbound_bytes_total\{destination="route things"\} [1-9]/);
    assert.match(metrics, /gateway_outbound_bytes_total\{destination="upstream echo 127.0.0.1:\d+"\} [1-9]/);
    assert.match(metrics, /gateway_certificate_expiry_timestamp_seconds\{use="listener"\} 1\d{9}/);
    assert.match(metrics, /gateway_config_generation 1/);
    await test.gateway.reload();
    assert.match((await test.admin("/metrics")).text, /gateway_config_generation 2/);
    assert.match((await test.admin("/")).text, /configuration 2 since/);
  } finally {
    await test.close();
    await upstream.close();
  }
});

Deno.test("status page answers only under its own name, so that no foreign page can read it", async () => {
  const test = await startTestGateway();
  try {
    const port = Number(test.gateway.admin.split(":").at(-1));
    assert.equal(await askAs(port, test.gateway.admin), 200);
    assert.equal(await askAs(port, `localhost:${port}`), 200);
    assert.equal(await askAs(port, "rebound.example"), 421);
  } finally {
    await test.close();
  }
});
