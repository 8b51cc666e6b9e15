/** A witness as a company runs it: own process, key in a token, TLS with client certificates, mirror, least permissions. */

import assert from "node:assert/strict";
import { witnessSpec } from "cli/commands/log_witness.ts";
import { startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { codeOf } from "shared/base/errors.ts";
import { CosignClient } from "shared/log/witness/cosign_client.ts";
import { type ClientTls, httpClient } from "shared/log/witness/http_client.ts";
import { TestLog } from "shared/log/witness/testing/test_log.ts";
import { bundlesFrom, tilesFrom } from "shared/log/testing/tiles.ts";
import { makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { startSoftHsm } from "tests/environment/softhsm.ts";
import { ALL_REFUSED, PROBE, probed } from "tests/permissions/probed.ts";

const ORIGIN = "log.a.example/factory";
const LOG = new TestLog(ORIGIN, 300);
const DEADLINE_MS = 30_000;

async function publish(folder: string, size: number): Promise<void> {
  const files = [...tilesFrom(LOG.leaves(size)), ...bundlesFrom(LOG.entries.slice(0, size))];
  for (const [path, content] of files) {
    await Deno.mkdir(`${folder}/${path.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeFile(`${folder}/${path}`, content);
  }
}

Deno.test("company B's witness: key in the token, only admitted logs, files mirrored, nothing allowed besides", async () => {
  const folder = await Deno.makeTempDir();
  const now = Date.now();
  const authority = await makeAuthority("logs", { now });
  const server = await issue(authority, {
    now,
    commonName: "witness",
    ipAddresses: ["127.0.0.1"],
    usages: ["server"],
  });
  const admitted = await issue(authority, { now, commonName: "log a", uris: ["urn:recovery-key:log:a"] });
  const revoked = await issue(authority, { now, commonName: "log b", uris: ["urn:recovery-key:log:b"] });
  const token = await startSoftHsm({ directory: folder, tokenLabel: "witness" });
  const files: Record<string, string> = {
    "server.pem": server.certificatePem,
    "server.key": server.privateKeyPem,
    "logs.pem": authority.certificatePem,
    "logs.crl": await makeCrl(authority, { now, revoked: [revoked.serialNumber] }),
    "witness.yaml": [
      "name: witness.b.example/w1",
      "listen: 127.0.0.1:0",
      "admin: 127.0.0.1:0",
      "state: state",
      "highWaterFile: elsewhere",
      "tls:",
      "  certificate: server.pem",
      "  key: server.key",
      "  clients: { authority: logs.pem, revocationList: logs.crl }",
      `key: { kind: pkcs11, library: ${token.library}, tokenLabel: witness, pinFile: ${token.pinFile}, label: log-witness }`,
      `logs: [{ origin: ${ORIGIN}, keys: ["${LOG.key.vkey}"], mirror: { folder: published } }]`,
    ].join("\n"),
  };
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, content, { mode: 0o600 });
  }
  await publish(`${folder}/published`, 300);
  const config = `${folder}/witness.yaml`;

  const init = await runCollected(await witnessSpec({ config, init: true }));
  assert.equal(init.code, 0, init.errors);
  const { vkey } = JSON.parse(init.output) as { vkey: string };
  const again = await runCollected(await witnessSpec({ config, check: true }));
  assert.deepEqual(JSON.parse(again.output), { ok: true, vkey });

  const logFile = `${folder}/log`;
  const child = await startChild({ ...await witnessSpec({ config }), preload: PROBE, logFile });
  const clientOf = (tls: ClientTls) => {
    const http = httpClient({ authority: authority.certificatePem, ...tls });
    const url = `https://${child.ready.listen}`;
    return { http, client: new CosignClient({ url, vkey }, http, DEADLINE_MS, () => Date.now() / 1000) };
  };
  const parties = {
    admitted: clientOf({ certificate: admitted.certificatePem, key: admitted.privateKeyPem }),
    revoked: clientOf({ certificate: revoked.certificatePem, key: revoked.privateKeyPem }),
    stranger: clientOf({}),
  };
  try {
    assert.equal(child.ready.vkey, vkey);
    const checkpoint = await LOG.toCosign(300);
    for (
      const [party, code] of [["revoked", "WITNESS_REFUSED"], ["stranger", "WITNESS_UNREACHABLE"]] as const
    ) {
      await assert.rejects(
        parties[party].client.cosign(checkpoint),
        (error) => assert.equal(codeOf(error), code) === undefined,
      );
    }
    assert.equal((await parties.admitted.client.cosign(checkpoint)).line.name, "witness.b.example/w1");
    assert.equal((await Deno.readTextFile(`${folder}/elsewhere`)).trim(), "1");
    const metrics = await (await fetch(`http://${child.ready.admin}/metrics`)).text();
    assert.match(
      metrics,
      /witness_answers_total\{origin="log.a.example\/factory",status="200",reason="cosigned"\} 1/,
    );
    assert.deepEqual(probed(await Deno.readTextFile(logFile)), ALL_REFUSED);
  } finally {
    for (const { http } of Object.values(parties)) http.close();
    assert.equal(await child.stop(), 0);
    await Deno.remove(folder, { recursive: true });
  }
});
