import assert from "node:assert/strict";
import {
  AttestationAnswer,
  BatchAnswer,
  ClosureAnswer,
  HostCertificateAnswer,
  ReservationAnswer,
} from "shared/protocol/wire/attestation.ts";
import { readRevocationList } from "shared/protocol/recovery_key/revocation_list.ts";
import { Problem } from "shared/protocol/wire/problem.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { batchRequest, cardAnswer, closureOf, freshChip } from "tests/environment/attestation/service.ts";
import { LABELS, openBackends } from "tests/environment/attestation/backends.ts";
import {
  clientOf,
  makePki,
  makeSenders,
  type RequestChange,
  startInstance,
  TestGateway,
} from "tests/environment/attestation/instance.ts";
import { attestationDocument } from "./attestation_document.ts";
import { readTlsFiles } from "shared/service/tls_files.ts";
import { IdentityChecker } from "./attestation_identity.ts";

async function problemOf(response: Response): Promise<string> {
  const text = await response.text();
  assert.equal(response.headers.get("content-type"), "application/problem+json", text);
  const { status, code, type, next } = Problem.parse(JSON.parse(text));
  assert.equal(status, response.status);
  assert.equal(type, `urn:recovery-key:problem:${code}`);
  assert.ok(next);
  return `${status} ${code}`;
}

Deno.test("attestationApp() over mTLS, with a real database and token", async (t) => {
  await using backends = await openBackends("PostgreSQL and SoftHSM");
  const pki = await makePki();
  const senders = await makeSenders();
  const { station, manager } = senders;
  const lines: string[] = [];
  await using instance = await startInstance(pki, backends, senders, {}, (line) => lines.push(line));
  using gateway = new TestGateway(pki, instance.listen);
  const admin = (path: string) => fetch(`http://${instance.admin}${path}`);
  const newBatch = async (quantity: number) =>
    BatchAnswer.parse(await (await gateway.post(manager, "/v1/batches", batchRequest(quantity))).json());

  await t.step("a card's whole way over HTTP", async () => {
    const batch = await newBatch(1);
    const ask = { batch: batch.batch, chip: freshChip() };
    const reserved = ReservationAnswer.parse(
      await (await gateway.post(station, "/v1/reservations", ask)).json(),
    );
    const { request } = await cardAnswer(reserved, station);
    const attested = AttestationAnswer.parse(
      await (await gateway.post(station, "/v1/attestations", request)).json(),
    );
    const closure = closureOf(reserved.reservation, "good", attested.certificateSha256);
    ClosureAnswer.parse(await (await gateway.post(station, "/v1/closures", closure)).json());
    const host = { hostSerial: "46" + reserved.serial + "0001", publicKey: request.publicKey };
    HostCertificateAnswer.parse(await (await gateway.post(station, "/v1/host-certificates", host)).json());
    const keys = await gateway.post(station, "/v1/card-keys", { ...ask, keyLengthBytes: 16 });
    assert.equal(keys.status, 200);
    assert.match((await keys.json()).sealed, /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
    for (const name of ["line-1", "office"]) {
      const read = await gateway.get(`/v1/batches/${batch.batch}`, pki.certificates[name]);
      assert.equal(BatchAnswer.parse(await read.json()).state, "open");
    }
    const full = await gateway.post(station, "/v1/reservations", { ...ask, chip: freshChip() });
    assert.equal(await problemOf(full), "409 ATTEST_QUOTA_EXHAUSTED");
    const unknown = await gateway.post(station, "/v1/reservations", { ...ask, batch: "nothing" });
    assert.equal(await problemOf(unknown), "404 ATTEST_BATCH_UNKNOWN");
    const other = await gateway.post(senders.other, "/v1/attestations", request);
    assert.equal(await problemOf(other), "403 ATTEST_STATION_MISMATCH");
  });

  await t.step("every request that is not exactly the sender's own is refused", async () => {
    const batch = await newBatch(1);
    const ask = { batch: batch.batch, chip: freshChip() };
    const now = Math.floor(Date.now() / 1000);
    const cases: [string, RequestChange][] = [
      ["401 ATTEST_SIGNATURE", { dropHeaders: ["signature"] }],
      ["401 ATTEST_SIGNATURE", { dropHeaders: ["signature-input"] }],
      ["401 ATTEST_SIGNATURE", { dropHeaders: ["content-digest"] }],
      ["401 ATTEST_SIGNATURE", { sentBody: JSON.stringify({ ...ask, batch: "b" }) }],
      ["401 ATTEST_SIGNATURE", { signedPath: "/v1/attestations" }],
      ["401 ATTEST_SIGNATURE", { query: "?a=1" }],
      ["401 ATTEST_CLOCK", { created: now - 400 }],
      ["401 ATTEST_CLOCK", { created: now + 400 }],
      ["401 ATTEST_SIGNATURE", { key: senders.other.signingKey }],
      ["401 ATTEST_SIGNATURE", { keyId: "line-2" }],
      ["401 ATTEST_SIGNATURE", { keyId: "line-2", key: senders.other.signingKey }],
      ["401 ATTEST_SIGNATURE", { nonce: "short" }],
      ["401 ATTEST_SIGNATURE", { headers: { "content-type": "application/json; charset=utf-8" } }],
      ["415 ATTEST_MEDIA_TYPE", { contentType: "text/plain" }],
      ["400 ATTEST_IDEMPOTENCY_KEY", { headers: { "idempotency-key": "short" } }],
      ["400 ATTEST_IDEMPOTENCY_KEY", { headers: { "idempotency-key": 'a"b-12345678' } }],
      ["403 ATTEST_IDENTITY", { certificate: null }],
      ["403 ATTEST_IDENTITY", { certificate: pki.certificates.stranger }],
      ["403 ATTEST_IDENTITY", { certificate: pki.certificates["wrong-role"] }],
      ["403 ATTEST_IDENTITY", { certificate: pki.certificates.expired }],
      ["403 ATTEST_IDENTITY", { certificate: pki.certificates.revoked }],
      ["403 ATTEST_IDENTITY", { certificate: pki.certificates.foreign }],
      ["403 ATTEST_IDENTITY", { certificate: new Uint8Array(20) }],
      ["403 ATTEST_IDENTITY", { headers: { "client-cert": "nonsense" } }],
      ["401 ATTEST_SIGNATURE", { certificate: pki.certificates["line-2"] }],
      ["404 ATTEST_ROUTE_UNKNOWN", { method: "PUT" }],
    ];
    for (const [expected, change] of cases) {
      const response = await gateway.post(station, "/v1/reservations", ask, change);
      if (change.method === "PUT") assert.equal(response.status, 404);
      assert.equal(await problemOf(response), expected, JSON.stringify(Object.keys(change)));
    }
    const drawn = crypto.randomUUID();
    for (const id of ["of somebody outside", drawn]) {
      await gateway.post(station, "/v1/reservations", ask, {
        certificate: null,
        headers: { "x-request-id": id },
      });
    }
    const logged = lines.join("\n");
    assert.ok(logged.includes(drawn), "what the gateway drew is found in the log");
    assert.ok(!logged.includes("of somebody outside"), "no other identifier is");
    const nonce = "R".repeat(22);
    assert.equal((await gateway.post(station, "/v1/reservations", ask, { nonce })).status, 200);
    const replay = await gateway.post(station, "/v1/reservations", ask, { nonce });
    assert.equal(await problemOf(replay), "401 ATTEST_REPLAY");
    const role = await gateway.post(manager, "/v1/reservations", ask);
    assert.equal(await problemOf(role), "403 ATTEST_ROLE");
  });

  await t.step("the same Idempotency-Key gives the same bytes, and is refused for other ones", async () => {
    const batch = await newBatch(2);
    const ask = { batch: batch.batch, chip: freshChip() };
    const keyed = { headers: { "idempotency-key": `"${crypto.randomUUID()}"` } };
    const first = await (await gateway.post(station, "/v1/reservations", ask, keyed)).text();
    const again = await gateway.post(station, "/v1/reservations", ask, keyed);
    assert.deepEqual([again.status, await again.text()], [200, first]);
    const other = { ...ask, chip: freshChip() };
    const reused = await gateway.post(station, "/v1/reservations", other, keyed);
    assert.equal(await problemOf(reused), "422 ATTEST_IDEMPOTENCY_REUSED");
    const elsewhere = await gateway.post(station, "/v1/card-keys", { ...ask, keyLengthBytes: 16 }, keyed);
    assert.equal(await problemOf(elsewhere), "422 ATTEST_IDEMPOTENCY_REUSED");
    // Keys are the sender's own: another station's request under the same key is another request.
    const stranger = await gateway.post(senders.other, "/v1/reservations", other, keyed);
    assert.equal(stranger.status, 200);
    const keys = { headers: { "idempotency-key": crypto.randomUUID() } };
    const sealed = await Promise.all([1, 2, 3, 4].map(async () => {
      const answer = await gateway.post(station, "/v1/card-keys", { ...ask, keyLengthBytes: 16 }, keys);
      return await answer.text();
    }));
    assert.equal(new Set(sealed).size, 1);
  });

  await t.step("malformed bodies are named by pointer, and change nothing", async () => {
    const chip = freshChip();
    const cases: [string | unknown, string[]][] = [
      [{ batch: "ok", chip: { ...chip, cplc: "zz" } }, ["#/chip/cplc"]],
      [{ batch: "Not OK", chip }, ["#/batch"]],
      [{ chip }, ["#/batch"]],
      [{ batch: "ok", chip, more: 1 }, ["#"]],
      [[], ["#"]],
      [null, ["#"]],
    ];
    for (const [value, pointers] of cases) {
      const response = await gateway.post(station, "/v1/reservations", value);
      assert.equal(response.status, 400);
      const body = await response.json() as { code: string; errors: { pointer: string }[] };
      assert.equal(body.code, "ATTEST_MALFORMED");
      assert.deepEqual(body.errors.map((error) => error.pointer), pointers);
    }
    for (const body of ["", "{", '{"batch":', "\u0000", '"text"']) {
      const response = await gateway.post(station, "/v1/reservations", null, { body });
      assert.equal(await problemOf(response), "400 ATTEST_MALFORMED", JSON.stringify(body));
    }
    const read = await gateway.get("/v1/batches/NOT-OK", pki.certificates["line-1"]);
    assert.equal(await problemOf(read), "400 ATTEST_MALFORMED");
  });

  await t.step("more than 64 KiB is refused before it is read", async () => {
    const body = JSON.stringify({ text: "x".repeat(64 * 1024) });
    const response = await gateway.post(station, "/v1/reservations", null, { body });
    assert.equal(await problemOf(response), "413 ATTEST_BODY_TOO_LARGE");
  });

  await t.step("only gateways connect", async () => {
    const rogue = await makeAuthority("test internal", { now: Date.now() });
    const strangers = [
      null,
      await clientOf(rogue, "urn:recovery-key:gateway:a"),
      await clientOf(pki.client, "urn:recovery-key:gateway:a"),
      await clientOf(pki.internal, "urn:recovery-key:gateway:a", { usages: ["server"] }),
    ];
    for (const stranger of strangers) {
      using client = new TestGateway(pki, instance.listen, stranger);
      await assert.rejects(client.get("/healthz").then((response) => response.text()));
    }
    // An internal certificate that is not a gateway's passes TLS and is refused by the application.
    using service = new TestGateway(
      pki,
      instance.listen,
      await clientOf(pki.internal, "urn:recovery-key:attestation:b"),
    );
    assert.equal(await problemOf(await service.get("/healthz")), "403 ATTEST_GATEWAY_REFUSED");
    assert.equal(
      await problemOf(await service.post(station, "/v1/closures", {})),
      "403 ATTEST_GATEWAY_REFUSED",
    );
  });

  await t.step("the API describes itself in OpenAPI 3.1", async () => {
    const document = await (await gateway.get("/openapi.json")).json();
    assert.equal(document.openapi, "3.1.0");
    // What `rk gateway describe` writes without the service is what the service says of itself.
    assert.deepEqual(document, JSON.parse(JSON.stringify(attestationDocument())));
    assert.deepEqual(Object.keys(document.paths).sort(), [
      "/openapi.json",
      "/v1/attestations",
      "/v1/batch-cards",
      "/v1/batch-closings",
      "/v1/batch-openings",
      "/v1/batch-records",
      "/v1/batch-reports",
      "/v1/batches",
      "/v1/batches/{batch}",
      "/v1/card-keys",
      "/v1/closures",
      "/v1/host-certificates",
      "/v1/installations",
      "/v1/record-keys",
      "/v1/reservations",
      "/v1/revocations",
    ]);
    const post = document.paths["/v1/reservations"].post;
    assert.deepEqual(Object.keys(post.responses), [
      "200",
      "400",
      "401",
      "403",
      "404",
      "409",
      "413",
      "415",
      "422",
      "503",
    ]);
    assert.ok(post.requestBody.content["application/json"].schema.properties.chip);
  });

  await t.step(
    "the list of revoked certificates is for everyone behind a gateway, and for caches",
    async () => {
      const first = await gateway.get("/v1/revocations");
      assert.deepEqual(
        [first.status, first.headers.get("content-type"), first.headers.get("cache-control")],
        [200, "application/jose", "public, max-age=60"],
      );
      const etag = first.headers.get("etag")!;
      const list = readRevocationList(await first.text(), await backends.hsm.publicKey(LABELS.issuer));
      assert.equal(etag, `"${list.number}"`);
      const conditional = async (tags: string) => {
        const answer = await gateway.get("/v1/revocations", undefined, { "if-none-match": tags });
        await answer.body?.cancel();
        return answer.status;
      };
      assert.equal(await conditional(etag), 304);
      assert.equal(await conditional(`"0", W/${etag}`), 304);
      assert.equal(await conditional('"0"'), 200);
      const posted = await gateway.post(station, "/v1/revocations", {});
      assert.equal(await problemOf(posted), "404 ATTEST_ROUTE_UNKNOWN");
    },
  );

  await t.step("health, readiness and metrics are on the administration listener", async () => {
    assert.equal((await (await admin("/healthz")).json()).alive, true);
    assert.deepEqual(await (await admin("/readyz")).json(), { ready: true, failing: [] });
    const metrics = await (await admin("/metrics")).text();
    assert.match(
      metrics,
      /attestation_requests_total\{route="\/v1\/reservations",status="200",code="ok"\} \d/,
    );
    assert.match(metrics, /status="401",code="ATTEST_REPLAY"\} 1/);
    assert.match(metrics, /route="unknown",status="404"/);
    assert.equal((await admin("/v1/batches")).status, 404);
  });

  await t.step("it warns at start of what is not for production", () => {
    const warned = lines.map((line) => JSON.parse(line)).filter((line) => line.event === "not-for-production")
      .map((line) => line.what);
    assert.deepEqual(warned, ["host-certificates", "senders-from-file", "no-event-log"]);
  });

  await t.step("two instances know each other's nonces", async () => {
    await using second = await startInstance(pki, backends, senders);
    using other = new TestGateway(pki, second.listen);
    const batch = await newBatch(1);
    const ask = { batch: batch.batch, chip: freshChip() };
    const nonce = "S".repeat(22);
    assert.equal((await gateway.post(station, "/v1/reservations", ask, { nonce })).status, 200);
    const replay = await other.post(station, "/v1/reservations", ask, { nonce });
    assert.equal(await problemOf(replay), "401 ATTEST_REPLAY");
  });

  await t.step("without its database it answers 503 with Retry-After, and recovers", async () => {
    const facts = batchRequest(1);
    await backends.databaseOutage?.begin();
    const away = await gateway.post(manager, "/v1/batches", facts);
    assert.equal(away.headers.get("retry-after"), "2");
    assert.equal(await problemOf(away), "503 DATABASE_UNAVAILABLE");
    await until(async () => (await admin("/readyz")).status === 503);
    await backends.databaseOutage?.end();
    await until(async () => (await gateway.post(manager, "/v1/batches", facts)).status === 200);
    await until(async () => (await admin("/readyz")).status === 200);
  });

  await t.step("without its token it answers 503, nothing is written, and it recovers", async () => {
    const batch = await newBatch(1);
    const ask = { batch: batch.batch, chip: freshChip() };
    const reserved = ReservationAnswer.parse(
      await (await gateway.post(station, "/v1/reservations", ask)).json(),
    );
    const { request } = await cardAnswer(reserved, station);
    await backends.tokenOutage?.begin();
    const away = await gateway.post(station, "/v1/attestations", request);
    assert.match(await problemOf(away), /^503 HSM_/);
    const [row] = await backends.database
      .sql`SELECT state FROM reservations WHERE id = ${reserved.reservation}`;
    assert.equal(row?.state, "key-seen");
    await backends.tokenOutage?.end();
    await until(async () => (await gateway.post(station, "/v1/attestations", request)).status === 200);
  });

  await t.step("a stopped instance answers no more, and its sibling goes on", async () => {
    const second = await startInstance(pki, backends, senders);
    using other = new TestGateway(pki, second.listen);
    const work = other.post(manager, "/v1/batches", batchRequest(1));
    assert.equal((await work).status, 200);
    await second.stop();
    await assert.rejects(other.get("/healthz"));
    await newBatch(1);
  });

  await Deno.remove(pki.folder, { recursive: true });
});

/** Waits for a state that another process reaches; the service has no event for it. */
async function until(reached: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!await reached()) {
    assert.ok(Date.now() < deadline, "not reached in 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test("IdentityChecker takes a newer revocation list at once", async () => {
  const pki = await makePki();
  try {
    const tls = {
      certificate: `${pki.folder}/server.crt`,
      key: `${pki.folder}/server.key`,
      gateways: {
        authority: `${pki.folder}/internal.crt`,
        revocationList: `${pki.folder}/internal.crl`,
        whenStale: "refuse" as const,
      },
      senders: {
        authority: `${pki.folder}/client.crt`,
        revocationList: `${pki.folder}/client.crl`,
        whenStale: "refuse" as const,
      },
    };
    const first = await readTlsFiles(tls, "senders");
    const checker = new IdentityChecker(first.trust, { now: Date.now, monotonic: () => 0 });
    const station = await clientOf(pki.client, "urn:recovery-key:station:line-9");
    const header = `:${station.der.toBase64()}:`;
    assert.deepEqual(await checker.sender(header), {
      kind: "accept",
      identity: { role: "station", name: "line-9" },
    });
    const list = await makeCrl(pki.client, { now: Date.now(), revoked: [station.serial] });
    await Deno.writeTextFile(`${pki.folder}/client.crl`, list);
    const second = await readTlsFiles(tls, "senders");
    assert.notEqual(second.version, first.version);
    checker.trust(second.trust);
    assert.deepEqual(await checker.sender(header), { kind: "refuse", reason: "certificate-revoked" });
  } finally {
    await Deno.remove(pki.folder, { recursive: true });
  }
});
