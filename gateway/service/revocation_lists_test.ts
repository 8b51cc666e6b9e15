import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import { verifyCertificate } from "shared/protocol/x509/verification.ts";
import { fetchList } from "../transport/fetch_list.ts";
import { proveFreshness } from "./freshness_proof.ts";
import { RevocationLists } from "./revocation_lists.ts";

const now = Date.UTC(2026, 5, 1);
const clock = { now: () => now, monotonic: () => 0 };
const authority = await makeAuthority("a", { now });
const bounds = { timeoutMs: 30_000, maxBytes: 100_000 };
const bytes = (text: string) => new TextEncoder().encode(text);
const crl = async (number: bigint, from = authority) =>
  bytes(await makeCrl(from, { now: now - 1000, number, revoked: [] }));

/** Lists whose one source gives what the test says. */
function oneSource(data: () => Uint8Array | Error) {
  const lists = new RevocationLists(clock, () => {
    const given = data();
    return Promise.resolve(
      given instanceof Error
        ? { kind: "fault", fault: "list-unreachable", detail: given.message }
        : { kind: "data", data: given },
    );
  });
  return async () => {
    const collected = await lists.collect([{
      certificates: { name: "a.crt", pem: authority.certificatePem },
      sources: [{ name: "http://crl.example/a.crl" }],
      bounds,
    }]);
    collected.commit();
    return {
      number: collected.lists[0]![0]?.list.number,
      fault: collected.faults[0]?.fault,
      changed: collected.changed,
    };
  };
}

Deno.test("RevocationLists.collect() keeps the last good list, whatever a source gives", async () => {
  let given: Uint8Array | Error = new Error("gone");
  const collect = oneSource(() => given);
  assert.deepEqual(await collect(), { number: undefined, fault: "list-unreachable", changed: false });
  given = await crl(5n);
  assert.deepEqual(await collect(), { number: 5n, fault: undefined, changed: true });
  assert.deepEqual(await collect(), { number: 5n, fault: undefined, changed: false });
  const rogue = await makeAuthority("a", { now });
  const bad: [Uint8Array | Error, string][] = [
    [await crl(4n), "list-older"],
    [await crl(9n, rogue), "list-signature"],
    [await crl(9n, await makeAuthority("b", { now })), "list-issuer"],
    [bytes("<html>maintenance</html>"), "list-malformed"],
    [new Uint8Array(), "list-malformed"],
    [new Error("gone"), "list-unreachable"],
    [bytes(await makeCrl(authority, { now: now + 86_400_000, revoked: [] })), "list-from-future"],
  ];
  for (const [data, fault] of bad) {
    given = data;
    assert.deepEqual(await collect(), { number: 5n, fault, changed: false });
  }
  given = await crl(6n);
  assert.deepEqual(await collect(), { number: 6n, fault: undefined, changed: true });
});

Deno.test("fetchList() is bounded in time and size and follows nobody", async () => {
  const listener: RequestListener = (request, response) => {
    if (request.url === "/good") response.end("list");
    else if (request.url === "/giant") {
      const more = () => !response.destroyed && response.write("x".repeat(10_000), () => setTimeout(more));
      more();
    } else if (request.url === "/elsewhere") response.writeHead(302, { location: "/good" }).end();
    else if (request.url === "/cut") {
      response.writeHead(200, { "content-length": "100" }).write("x");
      setTimeout(() => response.destroy(), 10);
    } else if (request.url === "/missing") response.writeHead(404).end();
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const ask = async (path: string, timeoutMs = 30_000) => {
    const got = await fetchList(`http://127.0.0.1:${port}${path}`, { timeoutMs, maxBytes: 50_000 });
    return got.kind === "data" ? new TextDecoder().decode(got.data) : got.fault;
  };
  try {
    assert.equal(await ask("/good"), "list");
    assert.equal(await ask("/giant"), "list-too-large");
    assert.equal(await ask("/elsewhere"), "list-status");
    assert.equal(await ask("/missing"), "list-status");
    assert.equal(await ask("/cut"), "list-unreachable");
    assert.equal(await ask("/silent", 200), "list-unreachable");
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  assert.equal(await ask("/good"), "list-unreachable");
});

Deno.test("proveFreshness() proves each authority's rule, and finds a verifier that lost one", async () => {
  const source = (group: string, more: object) => ({
    certificates: { name: "a.crt", pem: authority.certificatePem },
    whenStale: "refuse" as const,
    group,
    ...more,
  });
  const trust = await readTrust([
    source("closed", { maxAgeMs: 60_000 }),
    source("open", { whenStale: "accept" }),
  ]);
  assert.deepEqual(await proveFreshness(trust, verifyCertificate, now), [
    "closed, fresh list, good: accepted",
    "closed, fresh list, revoked: certificate-revoked",
    "closed, stale list, good: revocation-stale",
    "closed, stale list, revoked: certificate-revoked",
    "closed, no list, good: revocation-missing",
    "open, fresh list, good: accepted",
    "open, fresh list, revoked: certificate-revoked",
    "open, stale list, good: accepted",
    "open, stale list, revoked: certificate-revoked",
    "open, no list, good: accepted",
  ]);
  const ageless: typeof verifyCertificate = (chain, given, options) =>
    verifyCertificate(
      chain,
      { authorities: given.authorities.map((a) => ({ ...a, maxAgeMs: Infinity })) },
      options,
    );
  await assert.rejects(proveFreshness(trust, ageless, now), {
    code: "GATEWAY_CANARY",
    message: /closed, stale list, good: accepted, but has to be revocation-stale/,
  });
});

Deno.test("a list that is too old by the authority's own rule is stale before its nextUpdate", async () => {
  const good = await issue(authority, { now, commonName: "x", uris: ["urn:x:y"] });
  const trust = await readTrust([{
    certificates: { name: "a.crt", pem: authority.certificatePem },
    revocationList: { name: "a.crl", pem: await makeCrl(authority, { now, revoked: [] }) },
    whenStale: "refuse",
    maxAgeMs: 60_000,
  }]);
  const at = (time: number) =>
    verifyCertificate([new Uint8Array(good.certificate.rawData)], trust, { usage: "client", now: time });
  const fresh = await at(now + 60_000);
  assert.equal(fresh.kind, "accept");
  assert.equal(fresh.validUntil, now + 60_000);
  const stale = await at(now + 60_001);
  assert.equal(stale.kind === "refuse" && stale.reason, "revocation-stale");
});
