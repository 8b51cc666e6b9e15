import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { concat, fromUtf8, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { verifyRequest } from "shared/protocol/wire/http_signature.ts";
import { problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import { seal } from "shared/protocol/wire/sealed.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ANSWER_MAX_BYTES } from "shared/transport/https_exchange.ts";
import { ATTEMPTS_MAX, AttestationClient } from "./attestation_client.ts";

const now = Date.now();
const authority = await makeAuthority("test", { now });
const server = await issue(authority, {
  now,
  commonName: "gateway",
  ipAddresses: ["127.0.0.1"],
  usages: ["server"],
  uris: ["urn:recovery-key:gateway:a"],
});
const station = await issue(authority, {
  now,
  commonName: "line-1",
  uris: ["urn:recovery-key:station:line-1"],
});
const signing = await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
  "sign",
  "verify",
]) as CryptoKeyPair;
const sealing = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
const signingKey = await crypto.subtle.exportKey("jwk", signing.privateKey);
const verifyKey = await crypto.subtle.exportKey("jwk", signing.publicKey);
const sealingKey = await crypto.subtle.exportKey("jwk", sealing.privateKey);
const sealTo = await crypto.subtle.exportKey("jwk", sealing.publicKey);

interface Request {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Uint8Array;
}
type Handler = (request: Request, response: ServerResponse) => void | Promise<void>;

/** A gateway that does what a test says, and keeps what it got. */
async function gateway(handler: Handler) {
  const requests: Request[] = [];
  const listener = createServer({
    key: server.privateKeyPem,
    cert: server.certificatePem,
    ca: authority.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
  }, (incoming, response) => {
    const chunks: Uint8Array[] = [];
    incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    incoming.on("end", () => {
      const request = { path: incoming.url!, headers: incoming.headers, body: concat(...chunks) };
      requests.push(request);
      void handler(request, response);
    });
  });
  const sockets = new Set<{ destroy(): void }>();
  listener.on("secureConnection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", () => resolve()));
  const { port } = listener.address() as { port: number };
  return {
    url: `https://127.0.0.1:${port}`,
    requests,
    closeIdle: () => sockets.forEach((socket) => socket.destroy()),
    close: () =>
      new Promise<void>((resolve) => {
        listener.close(() => resolve());
        listener.closeAllConnections();
      }),
  };
}

const answer = (response: ServerResponse, status: number, value: unknown, type = "application/json") => {
  response.writeHead(status, { "content-type": type });
  response.end(typeof value === "string" ? value : JSON.stringify(value));
};

function clientOf(gateways: readonly string[], failovers: string[] = []) {
  return new AttestationClient({
    gateways,
    tls: { ca: authority.certificatePem, cert: station.certificatePem, key: station.privateKeyPem },
    name: "line-1",
    signingKey,
    sealingKey,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    onFailover: ({ reason }) => failovers.push(reason),
  });
}

const CHIP = { cplc: null, keyDiversificationData: "00".repeat(10) };
const RESERVATION = {
  reservation: "7b7f0b9a-8a0e-4b0e-9a51-8d3c2b6d1f00",
  serial: "0000002A",
  issuerPublicKey: "04".repeat(65),
  again: false,
};
const sealed = () => seal({ dgi8137: "AB".repeat(32) }, sealTo);

Deno.test("reserve() signs the body, opens what is sealed, keeps the connection", async () => {
  const one = await gateway(async (_, response) =>
    answer(response, 200, { ...RESERVATION, sealed: await sealed() })
  );
  const client = clientOf([one.url]);
  try {
    const reservation = await client.reserve({ batch: "b-1", chip: CHIP });
    assert.equal(toHex(reservation.serial), "0000002A");
    assert.equal(toHex(reservation.personalizationKey.reveal()), "AB".repeat(32));
    const [request] = one.requests;
    assert.deepEqual(JSON.parse(fromUtf8(request!.body)), { batch: "b-1", chip: CHIP });
    assert.match(String(request!.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
    const verdict = await verifyRequest({
      method: "POST",
      path: request!.path,
      headers: request!.headers as Record<string, string>,
      body: request!.body,
    }, { now: Math.floor(Date.now() / 1000), findKey: () => verifyKey });
    assert.equal(verdict.kind === "accept" && verdict.keyId, "line-1");
  } finally {
    client.close();
    await one.close();
  }
});

Deno.test("a gateway that is gone, breaks off or says 502, 503, 504: the other one, same key, new signature", async () => {
  const good: Handler = async (_, response) =>
    answer(response, 200, { ...RESERVATION, sealed: await sealed() });
  const bad: [string, Handler][] = [
    ["breaks off", (_, response) => void response.destroy()],
    ["half an answer", (_, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{");
      setTimeout(() => response.destroy(), 20);
    }],
    ...[502, 503, 504].map((status): [string, Handler] => [
      String(status),
      (_, response) =>
        answer(response, status, problem("GATEWAY_UPSTREAM", status, "gone"), PROBLEM_MEDIA_TYPE),
    ]),
  ];
  for (const [name, handler] of bad) {
    const [first, second] = [await gateway(handler), await gateway(good)];
    const failovers: string[] = [];
    const client = clientOf([first.url, second.url], failovers);
    try {
      await client.reserve({ batch: "b-1", chip: CHIP });
      assert.equal(failovers.length, 1, name);
      const [a, b] = [first.requests[0]!, second.requests[0]!];
      assert.equal(a.headers["idempotency-key"], b.headers["idempotency-key"], name);
      assert.notEqual(a.headers["signature-input"], b.headers["signature-input"], name);
      // The one that works is kept.
      await client.reserve({ batch: "b-1", chip: CHIP });
      assert.deepEqual([first.requests.length, second.requests.length], [1, 2], name);
    } finally {
      client.close();
      await first.close();
      await second.close();
    }
  }
});

Deno.test("a connection that the gateway closed while it was idle is no failover", async () => {
  const one = await gateway(async (_, response) =>
    answer(response, 200, { ...RESERVATION, sealed: await sealed() })
  );
  const failovers: string[] = [];
  const client = clientOf([one.url], failovers);
  try {
    for (let round = 0; round < 3; round++) {
      await client.reserve({ batch: "b-1", chip: CHIP });
      one.closeIdle();
    }
    assert.deepEqual([failovers, one.requests.length], [[], 3]);
  } finally {
    client.close();
    await one.close();
  }
});

async function codeOf(work: Promise<unknown>): Promise<CodedError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    return error;
  }
  assert.fail("it was accepted");
}

Deno.test("nobody answers: bounded attempts, ATTESTATION_UNREACHABLE", async () => {
  const failovers: string[] = [];
  const client = clientOf(["https://127.0.0.1:9", "https://127.0.0.1:9"], failovers);
  assert.equal((await codeOf(client.batch("b-1"))).code, "ATTESTATION_UNREACHABLE");
  assert.equal(failovers.length, ATTEMPTS_MAX);
  client.close();
});

Deno.test("a gateway of another authority is not spoken to", async () => {
  const one = await gateway((_, response) => answer(response, 200, {}));
  const rogue = await makeAuthority("test", { now });
  const client = new AttestationClient({
    gateways: [one.url],
    tls: { ca: rogue.certificatePem, cert: station.certificatePem, key: station.privateKeyPem },
    name: "line-1",
    signingKey,
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
  });
  assert.equal((await codeOf(client.batch("b-1"))).code, "ATTESTATION_UNREACHABLE");
  assert.equal(one.requests.length, 0);
  client.close();
  await one.close();
});

Deno.test("a problem becomes an error with the service's code and advice, and is not repeated", async () => {
  const one = await gateway((_, response) =>
    answer(
      response,
      409,
      problem("ATTEST_QUOTA_EXHAUSTED", 409, "full", { next: "Create another." }),
      PROBLEM_MEDIA_TYPE,
    )
  );
  const client = clientOf([one.url]);
  const error = await codeOf(client.reserve({ batch: "b-1", chip: CHIP }));
  assert.deepEqual([error.code, error.details.next], ["ATTEST_QUOTA_EXHAUSTED", "Create another."]);
  assert.equal(one.requests.length, 1);
  client.close();
  await one.close();
});

Deno.test("malformed answers: ATTESTATION_ANSWER or SEALED_UNREADABLE, and no value in the message", async () => {
  const other = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const otherKey = await crypto.subtle.exportKey("jwk", other.publicKey);
  const whole = { ...RESERVATION, sealed: await sealed() };
  const cases: [number, unknown, string][] = [
    [200, "no json", "ATTESTATION_ANSWER"],
    [200, {}, "ATTESTATION_ANSWER"],
    [200, { ...whole, serial: "2A" }, "ATTESTATION_ANSWER"],
    [200, { ...whole, more: 1 }, "accepted or ATTESTATION_ANSWER"],
    [200, { ...whole, sealed: "a.b.c.d.e" }, "SEALED_UNREADABLE"],
    [200, { ...whole, sealed: await seal({ dgi8137: "AB".repeat(32) }, otherKey) }, "SEALED_UNREADABLE"],
    [200, { ...whole, sealed: await seal({ dgi8137: "SECRET" }, sealTo) }, "ATTESTATION_ANSWER"],
    [200, "x".repeat(ANSWER_MAX_BYTES + 1), "ATTESTATION_UNREACHABLE"],
    [418, "teapot", "ATTESTATION_ANSWER"],
    [400, { code: "lower case" }, "ATTESTATION_ANSWER"],
  ];
  for (const [status, value, code] of cases) {
    const one = await gateway((_, response) => answer(response, status, value));
    const client = clientOf([one.url]);
    if (code.startsWith("accepted")) {
      await client.reserve({ batch: "b-1", chip: CHIP }).catch((error) =>
        assert.equal(error.code, "ATTESTATION_ANSWER")
      );
    } else {
      const error = await codeOf(client.reserve({ batch: "b-1", chip: CHIP }));
      assert.equal(error.code, code, JSON.stringify(value).slice(0, 80));
      assert.ok(!error.message.includes("SECRET"));
    }
    client.close();
    await one.close();
  }
});

Deno.test("cardKeys() keys of another length than asked are refused", async () => {
  const keys = { enc: "11".repeat(16), mac: "22".repeat(16), dek: "33".repeat(16) };
  const one = await gateway(async (_, response) =>
    answer(response, 200, { sealed: await seal(keys, sealTo) })
  );
  const client = clientOf([one.url]);
  const ask = (keyLengthBytes: 16 | 32) => client.cardKeys({ batch: "b-1", chip: CHIP, keyLengthBytes });
  assert.equal((await ask(16)).enc.length, 16);
  assert.equal((await codeOf(ask(32))).code, "ATTESTATION_ANSWER");
  client.close();
  await one.close();
});

Deno.test("AttestationClient() refuses addresses that are not https", () => {
  for (const gateways of [[], ["http://127.0.0.1:1"], ["nonsense"]]) {
    assert.throws(
      () => clientOf(gateways),
      (error) => error instanceof CodedError && error.code === "ATTESTATION_CONFIGURATION",
    );
  }
});
