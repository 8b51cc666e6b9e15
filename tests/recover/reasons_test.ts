/** The reasons of a refusal that no honest device leads to, and that every reason has a test. */

import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { REPOSITORY } from "cli/home.ts";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { PROVIDER_REASONS } from "shared/log/reasons.ts";
import {
  decodeProviderCertificate,
  deviceEphemeralBytes,
  deviceStaticBytes,
  encodeDeviceCertificate,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { AUXILIARY_POINT } from "shared/protocol/recover/constants.ts";
import { commitmentsOf, drawPolynomials, type Share, sharesOf } from "shared/protocol/recover/sharing.ts";
import type { DepositRequest, OpenSessionAnswer, OpenSessionRequest } from "shared/protocol/wire/recover.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { SESSION_FLOW } from "providers/domain/session_flow.ts";
import { VAULT_STEPS, type VaultStep } from "providers/vault/protocol.ts";
import { makeDevice, makeMaker, type Maker } from "./device.ts";
import { backup, confirm, IDENTITY, openRequest, refused, release, remove } from "./flows.ts";
import { HostSession } from "./host.ts";
import { startProviders, testClock, type TestProvider } from "./provider.ts";

/** A device whose keys are in our hands: it is certified, and says what it wants. */
function hostileDevice(maker: Maker) {
  const [own, ephemeral] = [generatePrivateKey(SYSTEM_RANDOM), generatePrivateKey(SYSTEM_RANDOM)];
  const [publicKey, header] = [publicKeyOf(own), SYSTEM_RANDOM(4)];
  const [hostNonce, deviceNonce, ephemeralKey] = [SYSTEM_RANDOM(8), SYSTEM_RANDOM(8), publicKeyOf(ephemeral)];
  const signature = ecdsaSign(maker.issuer, deviceStaticBytes(header, publicKey));
  const bytes = deviceEphemeralBytes(deviceNonce, hostNonce, ephemeralKey);
  return {
    ephemeral,
    wire: {
      certificate: toHex(encodeDeviceCertificate({ header, publicKey, signature })),
      hostNonce: toHex(hostNonce),
      deviceNonce: toHex(deviceNonce),
      ephemeralKey: toHex(ephemeralKey),
      ephemeralSignature: toHex(ecdsaSign(own, bytes)),
    },
  };
}

function freshShares() {
  const polynomials = drawPolynomials(new Secret(SYSTEM_RANDOM(32)), SYSTEM_RANDOM);
  return { shares: sharesOf(polynomials), commitments: commitmentsOf(polynomials) };
}

Deno.test("a provider refuses what no honest device says, and every reason has its test", async (t) => {
  const maker = makeMaker();
  const clock = testClock();
  await using running = await startProviders(maker, clock, "PGlite and software HSM", {}, [1]);
  const [provider] = running.providers as [TestProvider];
  const { service } = provider;
  const newId = () => toHex(SYSTEM_RANDOM(16));

  await t.step("a certified device that seals another share, or a deletion key that is none", async () => {
    const { shares: [share], commitments } = freshShares();
    const { shares: [foreign] } = freshShares();
    const key = publicKeyOf(generatePrivateKey(SYSTEM_RANDOM));
    const deposit = async (given: Share, deletionKey: Uint8Array) => {
      const device = hostileDevice(maker);
      const request: OpenSessionRequest = {
        session: crypto.randomUUID(),
        flow: "backup",
        backupId: newId(),
        identity: IDENTITY,
        device: device.wire,
        first: true,
      };
      const opened = await service.step("open", request.session, request);
      const { ephemeralCertificate } = (opened as { answer: OpenSessionAnswer }).answer;
      const { publicKey } = decodeProviderCertificate(fromHex(ephemeralCertificate));
      using channel = RecoverChannel.agree(device.ephemeral, publicKey);
      const index = Uint8Array.of(1, 0, 0, 0);
      const message = concat(given.value.reveal(), index, deletionKey, sha256(commitments));
      const body: DepositRequest = {
        sealedShare: toHex(channel.seal(message)),
        words: 24,
        commitments: toHex(commitments),
        auxiliaryPoint: toHex(AUXILIARY_POINT),
        sealedVerification: null,
      };
      return await service.step("deposit", request.session, body);
    };
    refused(await deposit(foreign!, key), "RECOVER_SHARE", "share");
    refused(await deposit(share!, Uint8Array.of(4, ...SYSTEM_RANDOM(64))), "RECOVER_SHARE", "deletion-key");
    assert.equal((await deposit(share!, key)).kind, "answer", "and takes what fits together");
  });

  await t.step("identities that are too long, missing, or given where the vault has its own", async () => {
    const tried = async (change: Partial<OpenSessionRequest>, code: string, reason: string) => {
      const host = await HostSession.open(maker, makeDevice(maker, SYSTEM_RANDOM(16)));
      const request = { ...openRequest(host, "backup", newId(), true), ...change };
      refused(await service.step("open", request.session, request), code, reason);
    };
    const long = { ...IDENTITY, firstName: "a".repeat(100), lastName: "b".repeat(100) };
    await tried({ identity: long }, "RECOVER_IDENTITY", "identity-text");
    await tried({ identity: null }, "PROVIDER_MALFORMED", "identity-given");
    await tried({ flow: "restore" }, "PROVIDER_MALFORMED", "identity-given");
  });

  await t.step("a session that nobody opened, and one that is named twice", async () => {
    refused(
      await service.step("commit", crypto.randomUUID(), {}),
      "PROVIDER_SESSION_UNKNOWN",
      "session-unknown",
    );
    const host = await HostSession.open(maker, makeDevice(maker, SYSTEM_RANDOM(16)));
    const request = openRequest(host, "backup", newId(), true);
    refused(
      await service.step("open", crypto.randomUUID(), request),
      "PROVIDER_MALFORMED",
      "session-differs",
    );
  });

  await t.step("every step in every state that the table does not have", async () => {
    const backupId = newId();
    const owner = makeDevice(maker, SYSTEM_RANDOM(16));
    await backup(maker, owner, [provider], backupId);
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    await release(maker, device, [provider], backupId, clock);
    await remove(maker, owner, [provider], backupId);
    const bodies = new Map<VaultStep, unknown>();
    for (const { request } of provider.crossed) bodies.set(request.step, request.body);
    for (const step of ["commit", "abandon"] as const) bodies.set(step, {});
    const reasons = new Set<string>();
    // Each state that a session was in, with every step: what is refused changes nothing.
    for (const { request } of provider.crossed.filter(({ request }) => request.sessionRecord !== null)) {
      for (const step of VAULT_STEPS.filter((step) => step !== "open")) {
        const result = await provider.vault.step({ ...request, step, body: bodies.get(step) });
        const [reason = ""] = result.event?.reasons ?? [];
        if (!reason.startsWith("state-")) continue;
        assert.deepEqual([result.outcome.kind, result.backup, result.session], ["refuse", null, null]);
        reasons.add(reason);
      }
    }
    const states = PROVIDER_REASONS.filter((reason) => reason.startsWith("state-"));
    // `refused` and `abandoned` are reached in refusals_test.ts; ends of ends need no record of their own.
    const seen = [
      ...reasons,
      "state-refused",
      "state-abandoned",
      "state-released",
      "state-deleted",
      "state-stored",
    ];
    assert.deepEqual(states.filter((state) => !seen.includes(state)), []);
    for (const end of ["stored", "released", "deleted", "refused", "abandoned"] as const) {
      for (const step of VAULT_STEPS) {
        if (step !== "open") assert.equal(SESSION_FLOW.next(end, step), undefined, `${end} ${step}`);
      }
    }
  });

  await t.step("a status document that goes back behind one that was seen", async () => {
    const old = provider.status();
    await provider.setStatus("open");
    const [request] = [provider.crossed.find(({ request }) => request.step === "open")!.request];
    await provider.vault.step({ ...request, status: provider.status() });
    const { outcome, event } = await provider.vault.step({ ...request, status: old });
    assert.deepEqual([outcome.kind, event?.reasons], ["refuse", ["service-set-back"]]);
  });
});

/** Guards that the table of steps never lets anybody come to. */
const UNREACHABLE = ["session-open", "channel-closed"];

Deno.test("every reason of a provider stands in a test", async () => {
  const texts: string[] = [];
  for (const folder of ["tests/recover", "providers/domain", "tests/orchestrator"]) {
    for await (const { name } of Deno.readDir(`${REPOSITORY}/${folder}`)) {
      if (name.endsWith("_test.ts")) texts.push(await Deno.readTextFile(`${REPOSITORY}/${folder}/${name}`));
    }
  }
  const all = texts.join("\n");
  const stands = (text: string) => all.includes(`"${text}"`);
  const missing = PROVIDER_REASONS.filter((reason) =>
    !stands(reason) && !stands(reason.replace(/^verification-/, "")) && !reason.startsWith("state-") &&
    !UNREACHABLE.includes(reason)
  );
  assert.deepEqual(missing, []);
});
