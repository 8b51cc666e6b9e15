import assert from "node:assert/strict";
import { ed25519 } from "@noble/curves/ed25519.js";
import { codeOf } from "../../base/errors.ts";
import { createLogger } from "../../base/log.ts";
import { SYSTEM_CLOCK } from "../../transport/clock.ts";
import { formatVerifierKey, SIGNATURE_TYPE_COSIGNATURE, verifierKey } from "../vkey.ts";
import { type CollectedCosignatures, CosignatureCollector } from "./collector.ts";
import { CosignClient } from "./cosign_client.ts";
import { httpClient } from "./http_client.ts";
import { witnessApp } from "./http_app.ts";
import { openWitnessListener } from "./listener.ts";
import { RateLimit } from "./rate.ts";
import { TestLog } from "./testing/test_log.ts";
import { type TestWitness, testWitness, WITNESS_KEY } from "./testing/test_witness.ts";

const ORIGIN = "log.example/a";
const LOG = new TestLog(ORIGIN, 30);
const FORK = new TestLog(ORIGIN, 30, "other", 1, 2);
const VKEY = formatVerifierKey(WITNESS_KEY);
const DEADLINE_MS = 30_000;
const QUIET = createLogger("test", { write: () => {} });

type Handler = (request: Request) => Response | Promise<Response>;

async function served(handler: Handler, run: (url: string) => Promise<void>): Promise<void> {
  const listener = await openWitnessListener("127.0.0.1:0", undefined, SYSTEM_CLOCK, handler);
  try {
    await run(`http://${listener.address}`);
  } finally {
    await listener.close(0);
  }
}

/** A witness behind HTTP, and a client of it. */
async function withWitness(
  run: (parts: { test: TestWitness; url: string; client: (known?: number) => CosignClient }) => Promise<void>,
  rate = { perSecond: 1e6, burst: 1e6 },
): Promise<void> {
  using test = testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey }]);
  const app = witnessApp({
    witness: test.witness,
    rate: new RateLimit(rate),
    clock: { now: () => 0, monotonic: () => 0 },
  });
  const http = httpClient();
  try {
    await served((request) => app.fetch(request, { address: "127.0.0.1", admitted: true }), async (url) => {
      const client = (known = 0) =>
        new CosignClient({ url, vkey: VKEY }, http, DEADLINE_MS, () => test.now, known);
      await run({ test, url, client });
    });
  } finally {
    http.close();
  }
}

const rejects = (promise: Promise<unknown>, code: string) =>
  assert.rejects(promise, (error) => assert.equal(codeOf(error), code) === undefined);

Deno.test("a client that knows nothing learns the size from a 409 and gets its cosignature", () =>
  withWitness(async ({ client, test }) => {
    const first = await client().cosign(await LOG.toCosign(5));
    assert.equal(first.timestamp, test.now);
    assert.equal(first.line.name, WITNESS_KEY.name);
    await client().cosign(await LOG.toCosign(12));
    await client(12).cosign(await LOG.toCosign(12));
    assert.equal(test.store.latest(ORIGIN)!.size, 12);
  }));

Deno.test("a client tells apart: a fork of its log, a log that went back, a witness that went back", () =>
  withWitness(async ({ client, test }) => {
    await client().cosign(await LOG.toCosign(9));
    await rejects(client().cosign(await FORK.toCosign(9)), "WITNESS_OTHER_ROOT");
    await rejects(client().cosign(await LOG.toCosign(6)), "WITNESS_AHEAD");
    await rejects(client(20).cosign(await LOG.toCosign(20)), "WITNESS_BEHIND");
    await rejects(client().cosign(await FORK.toCosign(20)), "WITNESS_REFUSED");
    await rejects(client().cosign(await new TestLog("log.example/b", 3).toCosign(3)), "WITNESS_REFUSED");
    assert.equal(test.store.latest(ORIGIN)!.size, 9);
  }));

Deno.test("what trying again does not mend is an alarm, once, and is not tried again", () =>
  withWitness(async ({ client }) => {
    await client().cosign(await LOG.toCosign(9));
    const alarms: string[] = [];
    const options = {
      quorum: 1,
      firstPauseMs: 1,
      longestPauseMs: 1,
      onAlarm: (witness: string, code: string) => alarms.push(`${witness} ${code}`),
    };
    const collector = new CosignatureCollector([client()], options, QUIET);
    collector.offer(await FORK.toCosign(9));
    await collector.idle();
    assert.deepEqual(alarms, [`${WITNESS_KEY.name} WITNESS_OTHER_ROOT`]);
  }));

Deno.test("answers that are no cosignature of this witness are not taken", async (t) => {
  const stranger = new Uint8Array(32).fill(5);
  const otherVkey = formatVerifierKey(
    verifierKey("other.example", SIGNATURE_TYPE_COSIGNATURE, ed25519.getPublicKey(stranger)),
  );
  const answers: Record<string, [Handler, string]> = {
    "nothing": [() => new Response(""), "WITNESS_COSIGNATURE"],
    "words": [() => new Response("fine\n"), "WITNESS_COSIGNATURE"],
    "a signature of zeros": [
      () => new Response(`— ${WITNESS_KEY.name} ${new Uint8Array(76).toBase64()}\n`),
      "WITNESS_COSIGNATURE",
    ],
    "a body over the bound": [() => new Response("x".repeat(100_000)), "WITNESS_UNREACHABLE"],
    "409 without its type": [() => new Response("5\n", { status: 409 }), "WITNESS_REFUSED"],
    "409 with words": [
      () => new Response("five\n", { status: 409, headers: { "content-type": "text/x.tlog.size" } }),
      "WITNESS_REFUSED",
    ],
    "a redirection": [
      () => new Response("", { status: 307, headers: { location: "http://127.0.0.1:1/" } }),
      "WITNESS_REFUSED",
    ],
  };
  const http = httpClient();
  for (const [name, [handler, code]] of Object.entries(answers)) {
    await t.step(name, () =>
      served(handler, async (url) => {
        const client = new CosignClient({ url, vkey: VKEY }, http, DEADLINE_MS, () => 1_700_000_000);
        await rejects(client.cosign(await LOG.toCosign(5)), code);
      }));
  }
  await t.step(
    "another witness's key, another text, another time",
    () =>
      withWitness(async ({ url, test }) => {
        const of = (vkey: string, seconds = () => test.now) =>
          new CosignClient({ url, vkey }, http, DEADLINE_MS, seconds);
        await rejects(of(otherVkey).cosign(await LOG.toCosign(5)), "WITNESS_COSIGNATURE");
        const checkpoint = await LOG.toCosign(6);
        await rejects(of(VKEY).cosign({ ...checkpoint, text: LOG.text(5) }), "WITNESS_COSIGNATURE");
        await rejects(of(VKEY, () => test.now - 3600).cosign(await LOG.toCosign(7)), "WITNESS_COSIGNATURE");
        await of(VKEY).cosign(await LOG.toCosign(8));
      }),
  );
  http.close();
});

Deno.test("HTTP: other paths, long bodies and too many requests are turned away", () =>
  withWitness(async ({ url, test }) => {
    const post = (body: Uint8Array<ArrayBuffer> | string, path = "/add-checkpoint") =>
      fetch(`${url}${path}`, { method: "POST", body });
    const statuses: number[] = [];
    for (
      const answer of [
        await post("", "/other"),
        await post("x".repeat(70_000)),
        await fetch(`${url}/add-checkpoint`),
        await post("old 0\n"),
        await post("old 0\n"),
      ]
    ) {
      statuses.push(answer.status);
      await answer.body?.cancel();
    }
    assert.deepEqual(statuses, [404, 413, 404, 400, 429]);
    assert.equal(test.store.latest(ORIGIN), undefined);
  }, { perSecond: 1, burst: 4 }));

Deno.test("k of n: witnesses that are away cost no append, and are asked again until they are back", () =>
  withWitness(async ({ client }) => {
    const http = httpClient();
    // The second witness is away at first.
    let away = true;
    const other = testWitness([{ origin: ORIGIN, vkey: LOG.key.vkey }]);
    const app = witnessApp({
      witness: other.witness,
      rate: new RateLimit({ perSecond: 1e6, burst: 1e6 }),
      clock: { now: () => 0, monotonic: () => 0 },
    });
    const handler: Handler = (request) =>
      away ? new Response("", { status: 503 }) : app.fetch(request, { address: "", admitted: true });
    await served(handler, async (url) => {
      const second = new CosignClient({ url, vkey: VKEY }, http, DEADLINE_MS, () => other.now);
      Object.defineProperty(second, "name", { value: "second" });
      const published: CollectedCosignatures[] = [];
      const options = { quorum: 2, firstPauseMs: 1, longestPauseMs: 4 };
      const collector = new CosignatureCollector([client(), second], options, QUIET, (each) => {
        published.push(each);
      });
      await rejects(collector.require(await LOG.toCosign(3)), "WITNESS_QUORUM");
      const collected = await collector.collect(await LOG.toCosign(4));
      assert.deepEqual([collected.fulfilled, collected.cosignatures.length], [false, 1]);
      assert.deepEqual([...collected.failed], [["second", "WITNESS_REFUSED"]]);
      collector.offer(await LOG.toCosign(6));
      collector.offer(await LOG.toCosign(8));
      while (published.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.deepEqual(published.map(({ fulfilled }) => fulfilled), published.map(() => false));
      away = false;
      await collector.idle();
      assert.deepEqual([published.at(-1)!.fulfilled, published.at(-1)!.checkpoint.size], [true, 8]);
      assert.equal((await collector.require(await LOG.toCosign(9))).cosignatures.length, 2);
      away = true;
      collector.offer(await LOG.toCosign(10));
      await collector.stop();
      collector.offer(await LOG.toCosign(11));
      await collector.idle();
    });
    http.close();
    other[Symbol.dispose]();
    assert.throws(
      () => new CosignatureCollector([], { quorum: 1, firstPauseMs: 1, longestPauseMs: 1 }, QUIET),
      (error) => codeOf(error) === "WITNESS_POLICY",
    );
  }));
