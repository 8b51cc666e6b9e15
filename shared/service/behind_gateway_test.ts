import assert from "node:assert/strict";
import type { TLSSocket } from "node:tls";
import { makeAuthority } from "../protocol/x509/authority.ts";
import { issue } from "../protocol/x509/certificate.ts";
import { makeCrl } from "../protocol/x509/revocation.ts";
import { readPemCertificates, readTrust } from "../protocol/x509/trust.ts";
import {
  GATEWAY_IDENTITY,
  ORCHESTRATOR_IDENTITY,
  peerCertificate,
  speaker,
  WALLET_IDENTITY,
} from "./behind_gateway.ts";

const now = Date.UTC(2026, 5, 1);
const clock = { now: () => now, monotonic: () => 0 };
const root = await makeAuthority("services", { now });
const other = await makeAuthority("services", { now });
const certificate = async (uri: string, authority = root) => {
  const issued = await issue(authority, { now, commonName: "x", uris: [uri] });
  return { issued, der: readPemCertificates("x", issued.certificatePem)[0]! };
};
const trustWith = async (revoked: readonly string[]) =>
  await readTrust([{
    certificates: { name: "ca.pem", pem: root.certificatePem },
    revocationList: { name: "ca.crl", pem: await makeCrl(root, { now, revoked }) },
    whenStale: "refuse",
  }]);

Deno.test("speaker() takes the identities that are asked for, and no other of the same authority", async () => {
  const trust = await trustWith([]);
  const kinds = { gateway: GATEWAY_IDENTITY, wallet: WALLET_IDENTITY, orchestrator: ORCHESTRATOR_IDENTITY };
  const foreign = { kind: "refuse", reason: "identity-foreign" };
  for (const [name, pattern] of Object.entries(kinds)) {
    for (const asked of [...Object.keys(kinds), "station"]) {
      const identity = `urn:recovery-key:${asked}:a-1`;
      const verdict = await speaker((await certificate(identity)).der, trust, pattern, clock);
      assert.deepEqual(
        verdict,
        asked === name ? { kind: "accept", identity } : foreign,
        `${asked} as ${name}`,
      );
    }
    for (
      const odd of [
        `${name}:`,
        `${name}:A`,
        `${name}:-a`,
        `${name}:${"a".repeat(64)}`,
        `${name}:a:b`,
        `x${name}:a`,
      ]
    ) {
      const { der } = await certificate(`urn:recovery-key:${odd}`);
      assert.deepEqual(await speaker(der, trust, pattern, clock), foreign, odd);
    }
  }
});

Deno.test("speaker() takes nobody without a certificate, of another authority, or revoked since", async () => {
  const reason = async (der: Uint8Array | undefined, trust = trustWith([])) => {
    const verdict = await speaker(der, await trust, GATEWAY_IDENTITY, clock);
    return verdict.kind === "accept" ? verdict.identity : verdict.reason;
  };
  const identity = "urn:recovery-key:gateway:a";
  const { issued, der } = await certificate(identity);
  assert.equal(await reason(der), identity);
  assert.equal(await reason(undefined), "certificate-missing");
  assert.equal(await reason(new Uint8Array(0)), "certificate-missing");
  assert.notEqual(await reason((await certificate(identity, other)).der), identity);
  assert.equal(await reason(der, trustWith([issued.serialNumber])), "certificate-revoked");
});

Deno.test("peerCertificate() is that of a connection whose handshake proved it, and of no other", () => {
  const socket = (authorized: boolean, raw?: Uint8Array) =>
    ({ authorized, getPeerCertificate: () => ({ raw }) }) as unknown as TLSSocket;
  const raw = Uint8Array.of(1, 2);
  assert.deepEqual(peerCertificate(socket(true, raw)), raw);
  assert.equal(peerCertificate(socket(false, raw)), undefined);
  assert.equal(peerCertificate(socket(true)), undefined);
});
