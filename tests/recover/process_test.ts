/** A node and its vault as processes: under their permissions, over HTTPS, and killed on the way. */

import assert from "node:assert/strict";
import { startProvider } from "cli/commands/provider.ts";
import { fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import type {
  DepositAnswer,
  OpenSessionAnswer,
  OpenSessionRequest,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import { startPGliteServer } from "shared/transport/pglite/server.ts";
import { openDatabase } from "shared/transport/postgres/database.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { filesOf, findSecrets } from "tests/integration/secret_search.ts";
import { ALL_REFUSED, probed } from "tests/permissions/probed.ts";
import { deploy } from "./deployment.ts";
import { entered } from "./entries.ts";
import { makeDevice, type TestDevice } from "./device.ts";
import { IDENTITY, openRequest } from "./flows.ts";
import { HostSession } from "./host.ts";
import { makeVerifier } from "./verifier.ts";

const SILENT = createLogger("test", { level: "error", write: () => {} });

Deno.test("rk provider: node and vault as processes, killed half-way, and nothing of a share outside the vault", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "rk-provider-" });
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const database = await startPGliteServer({
    directory: `${folder}/database`,
    listen: { kind: "tcp", hostname: "127.0.0.1", port: 0 },
    logger: SILENT,
    onDeath: (error) => console.error("the embedded database died", error),
  });
  started.defer(() => database.stop());
  const made = await makeVerifier("https://verifier-1.example", Math.floor(SYSTEM_CLOCK.now() / 1000));
  await Deno.writeTextFile(`${folder}/keys.jwt`, made.keySet());
  const { maker, verifier, vaultKey, paths, client, orchestrator, stranger } = await deploy(
    folder,
    database.url,
    { ...made, node: { keySetFile: "keys.jwt" } },
  );
  started.defer(() => client.close());
  let running = await startProvider(paths);
  started.defer(() => running.stop());
  const requests: string[] = [];
  const send = async (path: string, body: unknown, certificate = orchestrator, method = "POST") => {
    const text = JSON.stringify(body);
    requests.push(text);
    const response = await fetch(`https://${running.ready.listen}${path}`, {
      method,
      client,
      headers: { "content-type": "application/json", "client-cert": `:${certificate.toBase64()}:` },
      ...(method === "POST" ? { body: text } : {}),
    });
    return { status: response.status, body: await response.json() as unknown };
  };
  const step = async <T>(path: string, body: unknown): Promise<T> => {
    const { status, body: answer } = await send(path, body);
    assert.equal(status, 200, JSON.stringify(answer));
    return answer as T;
  };
  const open = async (host: HostSession, request: OpenSessionRequest) => {
    const answer = await step<OpenSessionAnswer>("/v1/sessions", request);
    return { answer, confirmation: await host.introduce(answer) };
  };
  const verified = (answer: OpenSessionAnswer, device: TestDevice) =>
    verifier.result({
      vaultKey,
      nonce: answer.verification!.nonce,
      providerName: "Provider 1",
      identity: IDENTITY,
      securityCode: device.code(),
      nowSeconds: Math.floor(SYSTEM_CLOCK.now() / 1000),
    });

  const entropy = SYSTEM_RANDOM(24);
  const owner = makeDevice(maker, entropy);
  const backupId = toHex(SYSTEM_RANDOM(16));
  const at = (session: string, name: string) => `/v1/sessions/${session}/${name}`;

  await t.step(
    "both run under their permissions, without core files, and the vault without network",
    async () => {
      for (const [name, child] of Object.entries({ vault: running.vault, node: running.node })) {
        assert.deepEqual(probed(await Deno.readTextFile(`${folder}/logs/${name}.log`)), ALL_REFUSED, name);
        const limits = await Deno.readTextFile(`/proc/${child.pid}/limits`);
        assert.match(limits, /Max core file size\s+0\s+0/);
      }
      const inodes = new Set<string>();
      for await (const entry of Deno.readDir(`/proc/${running.vault.pid}/fd`)) {
        const target = await Deno.readLink(`/proc/${running.vault.pid}/fd/${entry.name}`).catch(() => "");
        inodes.add(target.match(/^socket:\[(\d+)\]$/)?.[1] ?? "");
      }
      const tables = await Promise.all(
        ["tcp", "tcp6", "udp", "udp6"].map((each) => Deno.readTextFile(`/proc/net/${each}`)),
      );
      const used = tables.join("\n").split("\n").map((line) => line.trim().split(/\s+/)[9] ?? "");
      assert.deepEqual(used.filter((inode) => inode !== "" && inode !== "inode" && inodes.has(inode)), []);
    },
  );

  await t.step(
    "only an orchestrator behind a gateway is served, and only what the interface says",
    async () => {
      const host = await HostSession.open(maker, makeDevice(maker, entropy));
      const request = openRequest(host, "backup", backupId, true);
      assert.equal((await send("/v1/sessions", request, stranger)).status, 403);
      assert.equal((await send("/v1/sessions", { ...request, more: 1 })).status, 400);
      assert.equal((await send("/v1/sessions/x/deposit", {})).status, 400);
      assert.equal((await send("/v1/nothing", {})).status, 404);
      assert.equal((await send(at(crypto.randomUUID(), "commit"), {})).status, 404);
      assert.equal((await send("/v1/sessions", { pad: "0".repeat(70_000) })).status, 413);
    },
  );

  const host = await HostSession.open(maker, owner);
  const deposit = openRequest(host, "backup", backupId, true);
  await t.step(
    "backup: the vault is killed after the session was opened, and the node after the deposit",
    async () => {
      await open(host, deposit);
      await running.vault.kill();
      const body = await host.share();
      const away = await send(at(deposit.session, "deposit"), body);
      assert.equal(away.status, 503);
      await running.stop();
      running = await startProvider(paths);
      await host.stored(await step<DepositAnswer>(at(deposit.session, "deposit"), body));
      await running.node.kill();
      await running.stop();
      running = await startProvider(paths);
      await step(at(deposit.session, "deposit"), body);
      await step(at(deposit.session, "commit"), {});
    },
  );

  let released: ReleaseAnswer | undefined;
  await t.step("restore: confirm on a new device, then release to it", async () => {
    const device = makeDevice(maker);
    const confirming = await HostSession.open(maker, device);
    const restore = openRequest(confirming, "restore", backupId, true);
    const { answer, confirmation } = await open(confirming, restore);
    assert.deepEqual(answer.identity, IDENTITY);
    await step(at(restore.session, "confirm"), { sealedConfirmation: confirmation });
    const releasing = await HostSession.open(maker, device);
    const release = openRequest(releasing, "release", backupId, true);
    const opened = await open(releasing, release);
    const sealedVerification = await verified(opened.answer, device);
    released = await step<ReleaseAnswer>(at(release.session, "release"), { sealedVerification });
    await releasing.restore(released);
    assert.ok(released);
  });

  await t.step("delete, and abandoning what is gone", async () => {
    const deleting = await HostSession.open(maker, owner);
    const request = openRequest(deleting, "delete", backupId, true);
    await open(deleting, request);
    const challenge = await step<{ sealedNonce: string }>(at(request.session, "delete"), {
      sealedVerification: null,
    });
    await step(at(request.session, "deletion"), { sealedSignature: await deleting.sign(challenge) });
    const response = await send(`/v1/sessions/${request.session}`, {}, orchestrator, "DELETE");
    assert.equal(response.status, 409);
  });

  await t.step("no identity, backup identifier or key is in logs, metrics, files or rows", async () => {
    const metrics = await (await fetch(`http://${running.ready.admin}/metrics`)).text();
    assert.match(metrics, /provider_requests_total\{route="\/v1\/sessions"/);
    const sql = openDatabase({ url: database.url, applicationName: "test" });
    const dump = JSON.stringify(
      await sql
        .sql`SELECT encode(blob, 'hex') AS b, encode(device_tag, 'hex') AS t, session::text FROM sessions`,
    ) +
      JSON.stringify(await entered({ database: sql }));
    await sql.close();
    const secrets = [
      { name: "entropy", bytes: entropy },
      { name: "backup identifier", bytes: fromHex(backupId) },
      { name: "entropy key", bytes: maker.entropyEncryptionKey },
      ...[IDENTITY.firstName + "x", IDENTITY.lastName, IDENTITY.dateOfBirth, IDENTITY.placeOfBirth]
        .slice(1).map((text) => ({ name: text, bytes: toUtf8(text) })),
    ];
    const artifacts = [
      { name: "metrics", content: toUtf8(metrics) },
      { name: "rows", content: toUtf8(dump) },
      ...await filesOf(`${folder}/logs`),
      ...await filesOf(`${folder}/hsm`),
    ];
    assert.deepEqual(findSecrets(secrets, artifacts), []);
    assert.ok(findSecrets(secrets, [{ name: "requests", content: toUtf8(requests.join("\n")) }]).length > 0);
    assert.doesNotMatch(metrics, new RegExp(deposit.session));
  });
});
