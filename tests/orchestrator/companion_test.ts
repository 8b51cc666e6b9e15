/**
 * `rk wallet recover` as a process under its permission set, over the real gateway, to the orchestrator's process under its
 * own, with PostgreSQL and a software token; the providers are in memory, behind mutual TLS; the device answers APDUs over TCP.
 */

import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { orchestratorSpec } from "cli/commands/orchestrator.ts";
import { runCompanion } from "cli/demo/companion.ts";
import { startChild } from "cli/process/child.ts";
import { runCollected } from "cli/process/foreground.ts";
import { freePort } from "cli/spine/ports.ts";
import { stringify } from "yaml";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { ecdsaSign, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { issue } from "shared/protocol/x509/certificate.ts";
import { serveApdus } from "device/recover/apdu_server.ts";
import { parseOrchestratorConfig } from "orchestrator/app/config.ts";
import { startTestGateway, startUpstream, testPki } from "tests/environment/gateway.ts";
import { startPostgres } from "tests/environment/postgres.ts";
import { IDENTITY, RecoverScene, type TestDevice } from "./scene.ts";
import { type InMemoryProvider, verifiedAs } from "./in_memory_provider.ts";

/** A provider in memory's routes. */
function routesOf(provider: InMemoryProvider): RequestListener {
  return async (request, response) => {
    let text = "";
    request.setEncoding("utf8");
    for await (const part of request) text += part;
    const body = text === "" ? {} : JSON.parse(text);
    const [, , , session, operation] = request.url!.split("/");
    const send = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    try {
      const work = {
        deposit: () => provider.deposit(session!, body),
        commit: () => provider.commit(session!),
        confirm: () => provider.confirm(session!, body),
        release: () => provider.release(session!, body),
        delete: () => provider.delete(session!, body),
        deletion: () => provider.deletion(session!, body),
      }[operation ?? ""] ?? (session === undefined
        ? () => provider.open(body)
        : () => provider.abandon(session));
      send(200, await work());
    } catch (error) {
      const { status = 503, code = "PROVIDER_IN_MEMORY" } = error instanceof CodedError ? error.details : {};
      send(Number(status), { type: "urn:test", title: "refused", status, code });
    }
  };
}

/** Runs the command; answers each verification as its verifier would. */
function run(verb: "backup" | "restore" | "delete", options: Parameters<typeof runCompanion>[1]) {
  return runCompanion(verb, options, { verify: ({ nonce }) => Promise.resolve(verifiedAs(nonce)) });
}

async function served<T>(device: TestDevice, work: (address: string) => Promise<T>): Promise<T> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = serveApdus(listener, device.device);
  try {
    return await work(`127.0.0.1:${(listener.addr as Deno.NetAddr).port}`);
  } finally {
    listener.close();
    await serving;
  }
}

Deno.test("rk wallet recover: backup, restore on another device and deletion, through the gateway", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rk-" });
  await using closing = new AsyncDisposableStack();
  closing.defer(() => Deno.remove(folder, { recursive: true }));
  const pki = await testPki();
  const scene = new RecoverScene();
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
  const wallet = await issue(pki.clients, {
    now: Date.now(),
    commonName: "wallet",
    uris: ["urn:recovery-key:wallet:a"],
  });
  for (
    const [name, text] of Object.entries({
      "servers.crt": pki.servers.certificatePem,
      "clients.crt": pki.clients.certificatePem,
      "server.crt": pki.upstream.certificatePem,
      "server.key": pki.upstream.privateKeyPem,
      "client.crt": pki.gateway.certificatePem,
      "client.key": pki.gateway.privateKeyPem,
      "wallet.crt": wallet.certificatePem,
      "wallet.key": wallet.privateKeyPem,
      passphrase: "for tests\n",
      "identity.json": JSON.stringify(IDENTITY),
    })
  ) await write(name, text);
  const upstreams = await Promise.all(scene.providers.map((provider) => startUpstream(routesOf(provider))));
  for (const upstream of upstreams) closing.defer(() => upstream.close());
  const server = await startPostgres({ directory: folder, tls: true });
  closing.defer(() => server.stop());
  const file = `${folder}/orchestrator.yaml`;
  const configuration = {
    listen: `127.0.0.1:${freePort()}`,
    admin: `127.0.0.1:${freePort()}`,
    tls: {
      certificate: "server.crt",
      key: "server.key",
      gateways: { authority: "servers.crt", whenStale: "accept" },
      clients: { authority: "clients.crt", whenStale: "accept" },
    },
    database: {
      url: server.url,
      tls: { authority: server.tls!.caFile, certificate: server.tls!.certFile, key: server.tls!.keyFile },
    },
    hsm: { kind: "software", file: "token/hsm.json", passphraseFile: "passphrase" },
    deviceIssuers: [toHex(publicKeyOf(scene.issuer))],
    providerRoot: toHex(publicKeyOf(scene.issuer)),
    providers: scene.providers.map(({ name, publicKey }, i) => ({
      name,
      publicKey: toHex(publicKey),
      servers: [upstreams[i]!.url],
      tls: { authority: "servers.crt", certificate: "client.crt", key: "client.key" },
    })),
  };
  const configured = async (value: unknown) => {
    const text = stringify(value);
    await write("orchestrator.yaml", text);
    return parseOrchestratorConfig(file, text);
  };
  await Deno.mkdir(`${folder}/token`, { mode: 0o700 });
  const init = await runCollected(orchestratorSpec("init", file, await configured(configuration)));
  assert.equal(init.code, 0, init.errors);
  const toSign = fromHex(JSON.parse(init.output).toSign);
  const signed = { ...configuration, certificateSignature: toHex(ecdsaSign(scene.issuer, toSign)) };
  const logFile = `${folder}/orchestrator.log`;
  const orchestrator = await startChild({
    ...orchestratorSpec("serve", file, await configured(signed)),
    logFile,
  });
  closing.defer(() => orchestrator.stop().then(() => {}));
  const gateway = await startTestGateway({
    upstreams: [{ url: `https://${orchestrator.ready.listen}` }],
    edit: (config) => {
      const identities = ["urn:recovery-key:wallet:*"];
      const contentTypes = ["application/json"];
      const route = { identities, contentTypes, maxBodyBytes: 65_536, upstream: "echo" };
      config.routes = [
        { ...route, name: "recover", path: "/v1/recover/sessions", methods: ["POST"] },
        {
          ...route,
          name: "recover-session",
          path: "/v1/recover/sessions/{session}",
          methods: ["GET", "DELETE"],
        },
        { ...route, name: "recover-apdus", path: "/v1/recover/sessions/{session}/apdus", methods: ["POST"] },
        {
          ...route,
          name: "recover-verifications",
          path: "/v1/recover/sessions/{session}/verifications",
          methods: ["POST"],
        },
      ];
    },
  });
  closing.defer(() => gateway.close());
  await write(
    "companion.yaml",
    stringify({
      gateways: [`https://localhost:${gateway.port}`],
      tls: { authority: "servers.crt", certificate: "wallet.crt", key: "wallet.key" },
    }),
  );

  const config = `${folder}/companion.yaml`;
  const owner = scene.device(32);
  const made = await served(
    owner,
    (device) => run("backup", { config, device, identity: `${folder}/identity.json` }),
  );
  assert.equal(made.code, 0, made.errors + await Deno.readTextFile(logFile));
  const backup = String(made.last.backupId);
  assert.equal(scene.inForce(backup), 3);

  const restored = scene.device();
  const gaveBack = await served(restored, (device) => run("restore", { config, device, backup }));
  assert.equal(gaveBack.code, 0, gaveBack.errors);
  assert.equal(toHex(restored.entropy!), toHex(owner.entropy!));
  assert.deepEqual(
    scene.takeRequests().map(({ length }) => length),
    [7, 7, 3],
    "at most three requests for a backup, four for a restore",
  );

  const deleted = await served(owner, (device) => run("delete", { config, device, backup }));
  assert.equal(deleted.code, 0, deleted.errors);
  const refused = await served(scene.device(), (device) => run("restore", { config, device, backup }));
  assert.equal(refused.code, 4);
  assert.match(JSON.stringify(refused.last), /ORCHESTRATOR_PROVIDER_REFUSED.*IN_MEMORY_NO_BACKUP/);
  const logged = await Deno.readTextFile(logFile);
  for (const text of Object.values(IDENTITY).filter(({ length }) => length > 5)) {
    assert.ok(!logged.includes(text) && !JSON.stringify(gateway.lines).includes(text));
  }
});
