/** Orchestrator, device and companion with the real providers: vaults, their databases and tokens, verified by signed results. */

import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { decodeProviderCertificate } from "shared/protocol/recover/certificates.ts";
import type { VaultStep } from "providers/vault/protocol.ts";
import type { OrchestratorContext, ProviderPort } from "orchestrator/service/ports.ts";
import { startProviders, testClock, type TestProvider } from "tests/recover/provider.ts";
import { BACKUP, IDENTITY, RecoverScene, type TestDevice } from "./scene.ts";

/** A provider's node in this process; requests take turns at its two nodes. */
function portOf(provider: TestProvider, asked: string[]): ProviderPort {
  let turn = 0;
  const step = async <T>(name: VaultStep, session: string, body: unknown): Promise<T> => {
    asked.push(name);
    const node = turn++ % 2 === 0 ? provider.service : provider.secondNode;
    const outcome = await node.step(name, session, body);
    if (outcome.kind === "refuse") {
      throw new CodedError("ORCHESTRATOR_PROVIDER_REFUSED", `Cannot go on: ${outcome.reasons.join()}`, {
        code: outcome.code,
        status: 403,
      });
    }
    return outcome.answer as T;
  };
  return {
    open: (request) => step("open", request.session, request),
    deposit: (session, request) => step("deposit", session, request),
    commit: (session) => step("commit", session, {}),
    abandon: (session) => step("abandon", session, {}),
    confirm: (session, request) => step("confirm", session, request),
    release: (session, request) => step("release", session, request),
    delete: (session, request) => step("delete", session, request),
    deletion: (session, request) => step("deletion", session, request),
  };
}

Deno.test("with real providers: backup, restore on a new device with two verifications, a third refused, delete", async () => {
  const scene = new RecoverScene();
  const clock = testClock();
  const { issuer, entropyEncryptionKey } = scene;
  const maker = { issuer, issuerPublicKey: scene.providers[0]!.issuer, entropyEncryptionKey };
  await using running = await startProviders(maker, clock, "PGlite and software HSM");
  const { providers } = running;
  const asked: string[][] = [[], [], []];
  const change = (context: OrchestratorContext): OrchestratorContext => ({
    ...context,
    providers: providers.map((provider, i) => portOf(provider, asked[i]!)),
    scene: {
      ...context.scene,
      providers: providers.map(({ name, facts }, i) => ({
        index: i + 1,
        name,
        publicKey: toHex(decodeProviderCertificate(facts.staticCertificate).publicKey),
      })),
    },
  });
  scene.start(change);
  const takeAsked = () => asked.map((each) => each.splice(0));
  const run = (device: TestDevice, request: Parameters<RecoverScene["run"]>[1]) =>
    scene.run(device, request, {
      verify: ({ nonce, provider }) => {
        const { verifier, vaultKey, name } = providers.find(({ name }) => name === provider)!;
        return verifier.result({
          vaultKey,
          nonce,
          providerName: name,
          identity: IDENTITY,
          securityCode: device.codes.at(-1)!,
          nowSeconds: Math.floor(clock.now() / 1000),
        });
      },
    });

  const owner = scene.device(32);
  const { backupId } = await run(owner, BACKUP);
  assert.deepEqual(takeAsked(), [1, 2, 3].map(() => ["open", "deposit", "commit"]));
  for (let times = 1; times <= 2; times++) {
    const device = scene.device();
    await run(device, { flow: "restore", backupId });
    assert.equal(toHex(device.entropy!), toHex(owner.entropy!));
    const four = ["open", "confirm", "open", "release"];
    assert.deepEqual(takeAsked(), [four, four, []]);
    clock.advance(3601);
  }
  const third = scene.device();
  await assert.rejects(run(third, { flow: "restore", backupId }), { code: "RECOVER_SESSION_FAILED" });
  assert.equal(third.entropy, undefined);
  takeAsked();
  clock.advance(3601);
  await run(owner, { flow: "delete", backupId });
  assert.deepEqual(takeAsked(), [1, 2, 3].map(() => ["open", "delete", "deletion"]));
  for (const { database } of providers) {
    assert.equal((await database.sql`SELECT count(*)::int AS rows FROM backups`)[0]!.rows, 0);
  }
});
