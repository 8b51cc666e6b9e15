/** A service's listener takes another certificate while it serves. */

import assert from "node:assert/strict";
import { connect } from "node:tls";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { openMtlsListener } from "./mtls_listener.ts";

Deno.test("openMtlsListener() shows the certificate that it was renewed to, to new handshakes", async () => {
  const now = Date.now();
  const authority = await makeAuthority("test internal", { now });
  const server = (commonName: string) =>
    issue(authority, { now, commonName, ipAddresses: ["127.0.0.1"], usages: ["server"] });
  const [first, second] = [await server("first"), await server("second")];
  const client = await issue(authority, { now, commonName: "gateway", uris: ["urn:recovery-key:gateway:a"] });
  const keysOf = ({ certificatePem, privateKeyPem }: typeof first) => ({
    certificate: certificatePem,
    key: privateKeyPem,
    authority: authority.certificatePem,
  });
  const listener = await openMtlsListener(
    { hostname: "127.0.0.1", port: 0 },
    keysOf(first),
    () => new Response("ok"),
  );
  const shown = () =>
    new Promise<unknown>((resolve, reject) => {
      const socket = connect({
        host: "127.0.0.1",
        port: Number(listener.address.split(":")[1]),
        ca: authority.certificatePem,
        cert: client.certificatePem,
        key: client.privateKeyPem,
      }, () => {
        const { subject } = socket.getPeerCertificate();
        socket.once("close", () => resolve(subject.CN));
        socket.destroy();
      });
      socket.once("error", reject);
    });
  try {
    assert.equal(await shown(), "first");
    listener.renew(keysOf(second));
    assert.equal(await shown(), "second");
  } finally {
    await listener.drain(0);
  }
});
