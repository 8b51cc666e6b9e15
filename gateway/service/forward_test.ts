/** Two instances, everything that each of them can do, and every kind of request: who is asked, what comes back, and who is blamed. */

import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import type { Route } from "../domain/routes.ts";
import type { BodyMessage } from "../transport/body.ts";
import { Cancellation } from "../transport/cancellation.ts";
import { type RequestBody, StreamedBody } from "../transport/request_body.ts";
import {
  BUSY_CODE,
  type UpstreamAnswer,
  type UpstreamClient,
  type UpstreamRequest,
} from "../transport/upstream_client.ts";
import { forward } from "./forward.ts";
import { Pool } from "./pool.ts";
import { Telemetry } from "./telemetry.ts";

/** What an instance can do with a request. */
const DEEDS = {
  ok: { status: 200 },
  fault: { status: 500 },
  "bad gateway": { status: 502 },
  unavailable: { status: 503 },
  late: { status: 504 },
  "not reached": { sent: false, code: "ECONNREFUSED" },
  lost: { sent: true, code: "ECONNRESET" },
  busy: { sent: false, code: BUSY_CODE },
} as const satisfies Record<string, { status: number } | { sent: boolean; code: string }>;
type Deed = keyof typeof DEEDS;
const NAMES = Object.keys(DEEDS) as Deed[];
/** Deeds for which an instance is blamed. */
const BLAMED: ReadonlySet<Deed> = new Set(["bad gateway", "unavailable", "late", "not reached", "lost"]);
/** Deeds after which another instance may do better. */
const AGAIN: ReadonlySet<Deed> = new Set(["bad gateway", "unavailable", "not reached", "lost", "busy"]);

const BODIES = ["none", "whole", "streamed"] as const;
const FACTS = {
  clientCertificate: new Uint8Array(1),
  requestId: "r",
  traceparent: "t",
  clientAddress: "192.0.2.1",
};
const RULES = {
  health: { unhealthyAfter: 1, coolDownMs: 600_000 },
  probes: { path: "/readyz", intervalMs: 600_000, timeoutMs: 1_000 },
  breaker: {
    consecutiveFailures: 1,
    windowMs: 60_000,
    minimumRequests: 1_000,
    failureShare: 1,
    openMs: 600_000,
    maxOpenMs: 600_000,
    maxOpenShare: 1,
  },
  retries: { share: 0, burst: 2 },
};

function answerOf(deed: Deed): UpstreamAnswer {
  const done = DEEDS[deed];
  return "status" in done
    ? { kind: "answer", status: done.status, rawHeaders: [], body: new Uint8Array(2) }
    : { kind: "failed", ...done };
}

/** A pool of instances that are up and do this, in this order, and what they were asked. */
function poolOf(...send: ((request: UpstreamRequest) => Promise<UpstreamAnswer>)[]) {
  const telemetry = new Telemetry(createLogger("test", { write: () => {} }), SYSTEM_CLOCK);
  const asked: string[] = [];
  const instances = send.map((deed, i) => {
    const client: UpstreamClient = {
      url: new URL(`http://i${i}:1`),
      host: `i${i}:1`,
      send: (request) => {
        asked.push(`i${i}`);
        if (request.body instanceof StreamedBody) request.body.begun = true;
        return deed(request);
      },
      close: () => {},
    };
    return { name: `i${i}`, client, probe: client };
  });
  const pool = new Pool("pool", instances, RULES, SYSTEM_CLOCK, telemetry);
  for (const instance of instances) pool.report(instance, "probe-ok", "test");
  return { pool, telemetry, asked };
}

const message: BodyMessage = {
  complete: true,
  on: () => {},
  off: () => {},
  resume: () => {},
  pause: () => {},
};

function requestOf(method: string, key: boolean, kind: typeof BODIES[number], deadlineMs = 60_000) {
  const headers = key ? [["idempotency-key", "k"]] : [];
  const request = { kind: "request", method, path: "/", query: "", headers } as unknown as StrictRequest;
  const route = { name: "things", affinity: undefined, deadlineMs, repeatWithKey: true } as unknown as Route;
  const body: RequestBody = kind === "none"
    ? undefined
    : kind === "whole"
    ? new Uint8Array(3)
    : new StreamedBody(message, 3, 10);
  return { request, route, body, facts: FACTS, clientGone: new Cancellation() };
}

Deno.test("forward() asks a second instance where it may, blames who is to blame, and hides no answer", async () => {
  let seen = 0;
  for (const method of ["GET", "PUT", "POST"]) {
    for (const key of [false, true]) {
      for (const body of BODIES) {
        for (const first of NAMES) {
          for (const second of NAMES) {
            const of = `${method} ${key} ${body}: ${first}, ${second}`;
            let turn = 0;
            const next = () => Promise.resolve(answerOf(turn++ === 0 ? first : second));
            const { pool, telemetry, asked } = poolOf(next, next);
            const outcome = await forward(requestOf(method, key, body), pool, telemetry);
            const harmless = method !== "POST" || key || first === "not reached" || first === "busy";
            const twice = AGAIN.has(first) && harmless && body !== "streamed";
            assert.equal(new Set(asked).size, twice ? 2 : 1, of);
            assert.equal(asked.length, twice ? 2 : 1, of);
            assert.equal(outcome.attempts >= 1 && outcome.attempts <= 2, true, of);
            // The last answer that there was, else the last failure.
            const deeds = twice ? [first, second] : [first];
            const answered = deeds.findLast((deed) => "status" in DEEDS[deed]);
            if (answered === undefined) assert.equal(outcome.kind, "refuse", of);
            else {assert.equal(
                outcome.kind === "answer" && outcome.status,
                (DEEDS[answered] as { status: number }).status,
                of,
              );}
            const states = new Map(pool.states().map((state) => [state.instance, state]));
            for (const [i, instance] of asked.entries()) {
              const isBlamed = BLAMED.has(deeds[i]!);
              assert.equal(states.get(instance)!.state, isBlamed ? "down" : "up", of);
              // Rather a bad instance than none: the last one's circuit stays closed.
              const isLastOne = i === 1 && BLAMED.has(first);
              assert.equal(states.get(instance)!.circuit, isBlamed && !isLastOne ? "open" : "closed", of);
            }
            assert.equal(pool.deadlines.waiting, 0, "nothing waits any more");
            await pool.close();
            seen++;
          }
        }
      }
    }
  }
  assert.equal(seen, 3 * 2 * 3 * 8 * 8);
});

Deno.test("forward() repeats what was sent as often as its budget has room, and what was not as often as it likes", async () => {
  for (const [deed, expected] of [["lost", 2], ["not reached", 4]] as const) {
    const send = () => Promise.resolve(answerOf(deed));
    const { pool, telemetry, asked } = poolOf(send, send);
    let twice = 0;
    for (let i = 0; i < 4; i++) {
      for (const { instance } of pool.states()) {
        pool.report(pool.instances.find(({ name }) => name === instance)!, "probe-ok", "test");
      }
      asked.length = 0;
      // Breakers stay open: each time has a pool of its own, but the budget of this one.
      const { pool: fresh } = poolOf(send, send);
      fresh.takeRetry = () => pool.takeRetry();
      await forward(requestOf("GET", false, "none"), fresh, telemetry);
      if (fresh.states().every(({ state }) => state === "down")) twice++;
      await fresh.close();
    }
    assert.equal(twice, expected, deed);
    await pool.close();
  }
});

Deno.test("forward() gives up at its deadline, and when the client leaves; an instance is blamed for the first only", async () => {
  const never = (request: UpstreamRequest) =>
    new Promise<UpstreamAnswer>((resolve) =>
      request.signal.addEventListener("abort", () => resolve({ kind: "failed", sent: true, code: "ABORTED" }))
    );
  {
    const { pool, telemetry, asked } = poolOf(never, never);
    const outcome = await forward(requestOf("GET", false, "none", 30), pool, telemetry);
    assert.equal(outcome.kind === "refuse" && outcome.reason, "upstream-deadline");
    assert.equal(asked.length, 1, "there is no time for another");
    assert.equal(pool.states().filter(({ state }) => state === "down").length, 1);
    await pool.close();
  }
  for (const before of [false, true]) {
    const { pool, telemetry } = poolOf((request) =>
      request.signal.aborted
        ? Promise.resolve({ kind: "failed", sent: false, code: "ABORTED" })
        : never(request)
    );
    const request = requestOf("GET", false, "none");
    if (before) request.clientGone.abort();
    const outcome = forward(request, pool, telemetry);
    request.clientGone.abort();
    assert.equal((await outcome).kind, "refuse");
    assert.deepEqual(pool.states().map(({ state }) => state), ["up"]);
    assert.equal(pool.deadlines.waiting, 0);
    await pool.close();
  }
});
