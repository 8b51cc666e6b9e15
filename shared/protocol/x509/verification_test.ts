import assert from "node:assert/strict";
import { DAY_MS, makeAuthority, privateKeyPem, readAuthority } from "./authority.ts";
import { issue, type IssueOptions } from "./certificate.ts";
import { makeCrl } from "./revocation.ts";
import { normalSerial } from "./serial_number.ts";
import { isVersion3, readPemCertificates, readTrust, type WhenStale } from "./trust.ts";
import { verifyCertificate } from "./verification.ts";

const now = Date.UTC(2026, 5, 1);
const root = await makeAuthority("clients", { now });
const rogue = await makeAuthority("clients", { now });
const station: IssueOptions = { now, commonName: "a", uris: ["urn:recovery-key:station:a"] };
const good = await issue(root, station);
const revoked = await issue(root, station);

/** Self-signed X.509 v1, made with `openssl x509 -req -signkey` without extensions. */
const VERSION_1_ROOT = `-----BEGIN CERTIFICATE-----
MIIBFjCBvQIUNluyCtfs/hZ//Lx6DH6vy2KHa+owCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTIxMTE0MTAyWhgPMjEyNjEwMjgxMTQxMDJaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELNRmqy7b1gmbg6mE
LWhgoJzJ/kdkkjb5er24CRytpdKIiBll/jAuZggbDsaUIBCACLQsPDJAS63rCch2
JDTJbzAKBggqhkjOPQQDAgNIADBFAiBPNGfbSph2kAfEVE1K4uFLOYgV38wySxSy
32kyk9ldzAIhAO4KJfzaMyaKRv+N4SluQYvN4f/LRH+tCuIgSWyGtXuF
-----END CERTIFICATE-----`;

async function trustOf(options: { list?: string | null; whenStale?: WhenStale; pem?: string } = {}) {
  const list = options.list === undefined
    ? await makeCrl(root, { now, revoked: [revoked.serialNumber] })
    : options.list;
  return await readTrust([{
    certificates: { name: "ca.pem", pem: options.pem ?? root.certificatePem },
    ...(list === null ? {} : { revocationList: { name: "ca.crl", pem: list } }),
    whenStale: options.whenStale ?? "refuse",
  }]);
}

async function reasonOf(pems: string, trust = trustOf(), at = now, usage: "client" | "server" = "client") {
  const verdict = await verifyCertificate(readPemCertificates("x", pems), await trust, { usage, now: at });
  return verdict.kind === "accept" ? verdict.identity : verdict.reason;
}

Deno.test("verifyCertificate() accepts the honest one and says how long that holds", async () => {
  const verdict = await verifyCertificate(readPemCertificates("x", good.certificatePem), await trustOf(), {
    usage: "client",
    now,
  });
  assert.equal(verdict.kind, "accept");
  assert.equal(verdict.kind === "accept" && verdict.identity, "urn:recovery-key:station:a");
  assert.equal(verdict.validUntil, now + 30 * DAY_MS, "until the list's nextUpdate");
});

Deno.test("verifyCertificate() refuses each fault for its own reason", async () => {
  const made = async (more: Partial<IssueOptions>, authority = root) =>
    (await issue(authority, { ...station, ...more })).certificatePem;
  assert.equal(await reasonOf(await made({}, rogue)), "authority-unknown");
  assert.equal(
    await reasonOf(await made({ notBefore: now - 9 * DAY_MS, notAfter: now - 1000 })),
    "certificate-expired",
  );
  assert.equal(await reasonOf(await made({ notBefore: now + 1000 })), "certificate-not-yet-valid");
  assert.equal(await reasonOf(await made({ usages: ["server"] })), "certificate-wrong-usage");
  assert.equal(await reasonOf(good.certificatePem, trustOf(), now, "server"), "certificate-wrong-usage");
  assert.equal(await reasonOf(await made({ uris: [], dnsNames: ["a.example"] })), "identity-missing");
  assert.equal(await reasonOf(await made({ uris: ["urn:a", "urn:b"] })), "identity-ambiguous");
  assert.equal(await reasonOf(revoked.certificatePem), "certificate-revoked");
  assert.equal(await reasonOf(root.certificatePem), "certificate-is-authority");
  const trust = await trustOf();
  const verdict = async (der: Uint8Array[]) => {
    const answer = await verifyCertificate(der, trust, { usage: "client", now });
    return answer.kind === "refuse" ? answer.reason : answer.kind;
  };
  assert.equal(await verdict([]), "certificate-missing");
  assert.equal(await verdict([new Uint8Array()]), "certificate-missing");
  assert.equal(await verdict([Uint8Array.of(0x30, 0x03, 0x30, 0x01, 0x00)]), "certificate-malformed");
  assert.equal(await reasonOf(VERSION_1_ROOT), "certificate-not-v3");
  const der = readPemCertificates("x", good.certificatePem)[0]!;
  assert.equal(await verdict([der.slice(0, 100)]), "certificate-malformed");
});

Deno.test("verifyCertificate() refuses a certificate of which one bit differs, wherever it is", async () => {
  const trust = await trustOf();
  const der = readPemCertificates("x", good.certificatePem)[0]!;
  for (let i = 0; i < der.length; i += 7) {
    const changed = der.slice();
    changed[i]! ^= 1;
    const verdict = await verifyCertificate([changed], trust, { usage: "client", now });
    assert.equal(verdict.kind, "refuse", `byte ${i}`);
  }
});

Deno.test("verifyCertificate() holds each authority to its freshness rule", async () => {
  const stale = now + 31 * DAY_MS;
  assert.equal(await reasonOf(good.certificatePem, trustOf(), stale), "revocation-stale");
  assert.equal(
    await reasonOf(good.certificatePem, trustOf({ whenStale: "accept" }), stale),
    station.uris![0],
  );
  assert.equal(
    await reasonOf(revoked.certificatePem, trustOf({ whenStale: "accept" }), stale),
    "certificate-revoked",
  );
  assert.equal(await reasonOf(good.certificatePem, trustOf({ list: null })), "revocation-missing");
  assert.equal(
    await reasonOf(good.certificatePem, trustOf({ list: null, whenStale: "accept" })),
    station.uris![0],
  );
});

Deno.test("verifyCertificate() follows an intermediate only to a configured root", async () => {
  const under = await makeAuthority("stations", { now, parent: root });
  const leaf = await issue(under, station);
  const presented = leaf.certificatePem + under.certificatePem;
  const open = trustOf({ list: null, whenStale: "accept" });
  assert.equal(await reasonOf(presented, open), "revocation-missing", "the intermediate has no list here");
  assert.equal(await reasonOf(leaf.certificatePem, open), "authority-unknown");
  const deeper = await makeAuthority("too deep", { now, parent: under });
  const deep = await issue(deeper, station);
  assert.equal(
    await reasonOf(deep.certificatePem + deeper.certificatePem + under.certificatePem, open),
    "authority-unknown",
    "path length 0",
  );
  // An end entity cannot issue.
  const mule = { ...root, ...good, keys: rogue.keys };
  const forged = await issue(mule, station);
  assert.equal(await reasonOf(forged.certificatePem + good.certificatePem, open), "authority-unknown");
  const configured = readTrust([{
    certificates: { name: "bundle", pem: root.certificatePem + under.certificatePem },
    revocationList: { name: "crl", pem: await makeCrl(under, { now, revoked: [] }) },
    whenStale: "refuse",
  }]);
  assert.equal(await reasonOf(leaf.certificatePem, configured), station.uris![0]);
});

Deno.test("readTrust() refuses what is no v3 authority and lists that it did not sign", async () => {
  await assert.rejects(trustOf({ pem: good.certificatePem }), { code: "X509_AUTHORITY_UNFIT" });
  await assert.rejects(trustOf({ pem: "nothing" }), { code: "X509_MALFORMED" });
  await assert.rejects(trustOf({ list: "nothing" }), { code: "X509_MALFORMED" });
  await assert.rejects(trustOf({ list: await makeCrl(rogue, { now, revoked: [] }) }), {
    code: "X509_REVOCATION_UNFIT",
  });
  await assert.rejects(trustOf({ pem: VERSION_1_ROOT, list: null }), { code: "X509_AUTHORITY_UNFIT" });
  assert.equal(isVersion3(Uint8Array.of(0x30, 0x82, 1, 0, 0x30, 0x81, 9, 0x02, 1, 1)), false, "v1");
});

Deno.test("readAuthority() restores an authority that issues", async () => {
  const again = await readAuthority(root.certificatePem, await privateKeyPem(root.keys.privateKey));
  assert.equal(again.name, "clients");
  assert.equal(await reasonOf((await issue(again, station)).certificatePem), station.uris![0]);
  assert.equal(normalSerial("00A0"), "a0");
  assert.equal(normalSerial("00"), "0");
});
