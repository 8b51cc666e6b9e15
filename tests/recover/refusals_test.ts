/** Each refusal of section 6 of the Recover protocol, at a provider over a real database and a real vault. */

import assert from "node:assert/strict";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { ecdsaSign, generatePrivateKey } from "shared/crypto/secp256k1.ts";
import {
  decodeDeviceCertificate,
  deviceEphemeralBytes,
  encodeDeviceCertificate,
} from "shared/protocol/recover/certificates.ts";
import type { DepositRequest, OpenSessionRequest } from "shared/protocol/wire/recover.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { StepOutcome } from "providers/service/provider_service.ts";
import { makeDevice, makeMaker } from "./device.ts";
import { backup, confirm, IDENTITY, open, openRequest, refused, release, remove, verify } from "./flows.ts";
import { HostSession } from "./host.ts";
import { entered } from "./entries.ts";
import { startProviders, testClock, type TestProvider } from "./provider.ts";
import { makeVerifier } from "./verifier.ts";

const maker = makeMaker();
const clock = testClock();
const newId = () => toHex(SYSTEM_RANDOM(16));
const newSeed = () => SYSTEM_RANDOM(16);

/** The row of the only backup, as a database administrator sees it. */
async function rows(provider: TestProvider) {
  return await provider.database
    .sql`SELECT encode(identifier, 'hex') AS id, encode(blob, 'hex') AS blob FROM backups`;
}

async function depositable(provider: TestProvider, backupId = newId()) {
  const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
  const { session } = await open(host, provider, "backup", backupId, true);
  return { session, body: await host.share() };
}

/** A release session that only lacks its verification. */
async function releasable(provider: TestProvider, backupId: string, device = makeDevice(maker)) {
  await confirm(maker, device, [provider], backupId);
  const host = await HostSession.open(maker, device);
  const { session, answer } = await open(host, provider, "release", backupId, true);
  return { session, answer, device, host };
}

Deno.test("a provider refuses what section 6 says", async (t) => {
  await using running = await startProviders(maker, clock, "PostgreSQL and SoftHSM", {}, [1, 2]);
  const [provider, other] = running.providers as [TestProvider, TestProvider];
  const { service } = provider;

  await t.step("a device certificate of a wrong role, root or signature", async () => {
    const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
    const tried = async (change: Partial<OpenSessionRequest["device"]>, reason: string) => {
      const request = openRequest(host, "backup", newId(), true);
      const body = { ...request, device: { ...request.device, ...change } };
      refused(await service.step("open", body.session, body), "RECOVER_CERTIFICATE", reason);
      assert.equal(
        (await provider.database.sql`SELECT FROM sessions WHERE session = ${body.session}`).length,
        0,
      );
    };
    const { header, publicKey } = decodeDeviceCertificate(fromHex(host.wire.certificate));
    const certified = (signature: Uint8Array) =>
      toHex(encodeDeviceCertificate({ header, publicKey, signature }));
    const foreign = generatePrivateKey(SYSTEM_RANDOM);
    const inside = concat(header, publicKey);
    const role = (byte: number) => concat(Uint8Array.of(byte), inside);
    await tried({ certificate: certified(ecdsaSign(foreign, role(0x02))) }, "device-static-signature");
    await tried({ certificate: certified(ecdsaSign(maker.issuer, role(0x04))) }, "device-static-signature");
    await tried({ certificate: "00" + host.wire.certificate }, "device-certificate");
    await tried({ hostNonce: toHex(SYSTEM_RANDOM(8)) }, "device-ephemeral-signature");
    await tried({ deviceNonce: toHex(SYSTEM_RANDOM(8)) }, "device-ephemeral-signature");
    const { deviceNonce, hostNonce, ephemeralKey } = host.wire;
    const bytes = deviceEphemeralBytes(fromHex(deviceNonce), fromHex(hostNonce), fromHex(ephemeralKey));
    await tried({ ephemeralSignature: toHex(ecdsaSign(foreign, bytes)) }, "device-ephemeral-signature");
    await tried({ ephemeralKey: "04" + "00".repeat(64) }, "device-key");
  });

  await t.step(
    "a replayed nonce: one device channel opens one session, and a session has one beginning",
    async () => {
      const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
      const request = openRequest(host, "backup", newId(), true);
      const first = await service.step("open", request.session, request);
      assert.deepEqual(await service.step("open", request.session, request), first);
      const other = { ...request, backupId: newId() };
      refused(await service.step("open", other.session, other), "PROVIDER_ORDER", "other-bytes");
      const again = openRequest(host, "backup", newId(), true);
      refused(await service.step("open", again.session, again), "PROVIDER_REFUSED", "device-replayed");
    },
  );

  await t.step("a share that fails its commitment, another Q, another index", async () => {
    const tried = async (change: (body: DepositRequest) => DepositRequest, code: string, reason: string) => {
      const { session, body } = await depositable(provider);
      const before = await rows(provider);
      refused(await service.step("deposit", session, change(body)), code, reason);
      assert.deepEqual(await rows(provider), before);
      refused(await service.step("commit", session, {}), "PROVIDER_ORDER", "state-refused");
    };
    const { body: foreign } = await depositable(provider);
    const p = foreign.commitments.slice(0, 192);
    await tried((body) => ({ ...body, commitments: foreign.commitments }), "RECOVER_SHARE", "commitments");
    await tried((body) => ({ ...body, auxiliaryPoint: p }), "RECOVER_SHARE", "auxiliary-point");
    await tried((body) => ({ ...body, sealedShare: foreign.sealedShare }), "RECOVER_SEALED", "sealed");
    const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
    // The device numbers providers as they come: another provider before this one, and its index is 2.
    await open(host, other, "backup", newId(), true);
    const { session } = await open(host, provider, "backup", newId(), false).catch(() => ({ session: "" }));
    assert.equal(session, "", "the device itself refuses: the identity is of another backup");
    const backupId = newId();
    const host2 = await HostSession.open(maker, makeDevice(maker, newSeed()));
    await open(host2, other, "backup", backupId, true);
    const second = await open(host2, provider, "backup", backupId, false);
    refused(await service.step("deposit", second.session, await host2.share()), "RECOVER_SHARE", "index");
  });

  const backupId = newId();
  const owner = makeDevice(maker, newSeed());
  await backup(maker, owner, [provider], backupId);

  await t.step("a second backup of the same identifier, however it is tried", async () => {
    const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
    const request = openRequest(host, "backup", backupId, true);
    refused(await service.step("open", request.session, request), "PROVIDER_EXISTS", "backup-stored");
    // Both opened while there was none; one is in force when the other deposits.
    const raced = newId();
    const [one, two] = [await depositable(provider, raced), await depositable(provider, raced)];
    assert.equal((await service.step("deposit", one.session, one.body)).kind, "answer");
    assert.equal((await service.step("commit", one.session, {})).kind, "answer");
    refused(await service.step("deposit", two.session, two.body), "PROVIDER_EXISTS", "backup-stored");
    // A deposit that was replaced cannot be put in force, nor take the other away.
    const replaced = newId();
    const [three, four] = [await depositable(provider, replaced), await depositable(provider, replaced)];
    await service.step("deposit", three.session, three.body);
    await service.step("deposit", four.session, four.body);
    refused(await service.step("commit", three.session, {}), "PROVIDER_ORDER", "backup-replaced");
    const count = (await rows(provider)).length;
    assert.equal((await service.step("abandon", three.session, {})).kind, "answer");
    assert.equal((await rows(provider)).length, count);
    assert.equal((await service.step("commit", four.session, {})).kind, "answer");
    refused(await service.step("abandon", four.session, {}), "PROVIDER_ORDER", "state-stored");
  });

  await t.step("a different device half-way", async () => {
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    const other = makeDevice(maker);
    const host = await HostSession.open(maker, other);
    const request = openRequest(host, "release", backupId, true);
    refused(await service.step("open", request.session, request), "PROVIDER_REFUSED", "lock-another-device");
    const again = await HostSession.open(maker, other);
    const { session, confirmation } = await open(again, provider, "restore", backupId, true);
    const step = await service.step("confirm", session, { sealedConfirmation: confirmation });
    refused(step, "PROVIDER_REFUSED", "lock-another-device");
    clock.advance(3601);
    const late = await HostSession.open(maker, device);
    const expired = openRequest(late, "release", backupId, true);
    refused(await service.step("open", expired.session, expired), "PROVIDER_REFUSED", "lock-expired");
  });

  await t.step("an unconfirmed restore, and a backup that is not there", async () => {
    const host = await HostSession.open(maker, makeDevice(maker));
    const { session } = await open(host, provider, "restore", backupId, true);
    const step = await service.step("confirm", session, { sealedConfirmation: "00".repeat(31) });
    refused(step, "RECOVER_SEALED", "confirmation");
    const other = await HostSession.open(maker, makeDevice(maker));
    const request = openRequest(other, "restore", newId(), true);
    refused(await service.step("open", request.session, request), "PROVIDER_REFUSED", "backup-absent");
  });

  await t.step("a deletion by anybody but the owner of the seed", async () => {
    const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
    const { session } = await open(host, provider, "delete", backupId, true);
    const challenge = await service.step("delete", session, { sealedVerification: null });
    const sealedSignature = await host.sign((challenge as { answer: { sealedNonce: string } }).answer);
    refused(
      await service.step("deletion", session, { sealedSignature }),
      "PROVIDER_REFUSED",
      "deletion-signature",
    );
    refused(
      await service.step("deletion", session, { sealedSignature: "00".repeat(88) }),
      "PROVIDER_ORDER",
      "other-bytes",
    );
    assert.equal((await rows(provider)).length, 3);
  });

  await t.step("anything while the service is locked", async () => {
    const now = Math.floor(clock.now() / 1000);
    const { session, body } = await depositable(provider);
    const open1 = provider.status();
    for (
      const [state, notAfter, reason] of [
        ["locked", undefined, "service-locked"],
        [null, undefined, "service-no-document"],
        ["open", now - 1, "service-expired"],
      ] as const
    ) {
      await provider.setStatus(state, notAfter);
      const host = await HostSession.open(maker, makeDevice(maker, newSeed()));
      const request = openRequest(host, "backup", newId(), true);
      refused(await service.step("open", request.session, request), "PROVIDER_LOCKED", reason);
      refused(await service.step("deposit", session, body), "PROVIDER_LOCKED", reason);
    }
    assert.ok(open1);
    await provider.setStatus("open");
    assert.equal((await service.step("deposit", session, body)).kind, "answer", "and nothing was lost");
  });

  await t.step("a session that is too old, but it may still end", async () => {
    const one = await depositable(provider);
    const two = await depositable(provider);
    await service.step("deposit", two.session, two.body);
    clock.advance(3601);
    refused(await service.step("deposit", one.session, one.body), "PROVIDER_REFUSED", "session-expired");
    assert.equal((await service.step("commit", two.session, {})).kind, "answer");
  });
});

Deno.test("a provider releases only to a verified owner, and counts before it judges", async (t) => {
  const limits = { attempts: 3, releases: 2, sessionSeconds: 3600, lockSeconds: 3600 };
  await using running = await startProviders(maker, clock, "PostgreSQL and SoftHSM", { limits }, [1]);
  const provider = running.providers[0]!;
  const { service } = provider;
  const now = () => Math.floor(clock.now() / 1000);

  await t.step(
    "a result that is expired, for another backup, provider, person, code, or by another verifier",
    async () => {
      const claims = (change: Record<string, string>) => ({
        verified_claims: {
          verification: { trust_framework: "test" },
          claims: {
            given_name: IDENTITY.firstName,
            family_name: IDENTITY.lastName,
            birthdate: IDENTITY.dateOfBirth,
            place_of_birth: { locality: IDENTITY.placeOfBirth },
            ...change,
          },
        },
      });
      const cases: [Record<string, unknown>, string][] = [
        [{ exp: now() - 61 }, "expired"],
        [{ iat: now() + 61 }, "future"],
        [{ iat: now() - 901, exp: now() + 9999 }, "old"],
        [{ nonce: "AB".repeat(32) }, "nonce"],
        [{ aud: "Provider 2" }, "audience"],
        [{ iss: "https://verifier-2.example" }, "issuer"],
        [{ security_code: "abcd" }, "claims"],
        [{ security_code: undefined }, "security-code"],
        [claims({ given_name: "Adah" }), "first-name"],
        [claims({ family_name: "Byron" }), "last-name"],
        [claims({ birthdate: "1815-12-11" }), "date-of-birth"],
        [{
          verified_claims: {
            ...claims({}).verified_claims,
            claims: { ...claims({}).verified_claims.claims, place_of_birth: { locality: "Londinium" } },
          },
        }, "place-of-birth"],
      ];
      for (const [change, reason] of cases) {
        const backupId = newId();
        await backup(maker, makeDevice(maker, newSeed()), [provider], backupId);
        const { session, answer, device } = await releasable(provider, backupId);
        const sealedVerification = await verify(provider, answer, device, clock, change);
        const step = await service.step("release", session, { sealedVerification });
        refused(step, "PROVIDER_REFUSED", `verification-${reason}`);
        assert.deepEqual(await service.step("release", session, { sealedVerification }), {
          ...step,
          reasons: [],
        }, "the same bytes are refused the same way, and not counted again");
      }
    },
  );

  await t.step(
    "keys rotate: the old one is refused, the new one taken",
    async () => {
      const backupId = newId();
      await backup(maker, makeDevice(maker, newSeed()), [provider], backupId);
      const one = await releasable(provider, backupId);
      const old = await verify(provider, one.answer, one.device, clock);
      await provider.verifier.rotate();
      refused(
        await service.step("release", one.session, { sealedVerification: old }),
        "PROVIDER_REFUSED",
        "verification-signature",
      );
      const two = await releasable(provider, backupId, one.device);
      const garbled = await service.step("release", two.session, { sealedVerification: "a.b.c.d.e" });
      refused(garbled, "PROVIDER_REFUSED", "verification-sealed");
      const three = await releasable(provider, backupId, one.device);
      const fresh = await verify(provider, three.answer, three.device, clock);
      assert.equal(
        (await service.step("release", three.session, { sealedVerification: fresh })).kind,
        "answer",
      );
    },
  );

  await t.step("a key set that the pinned key did not sign is none", async () => {
    const judged = provider.crossed.findLast(({ request, answer }) =>
      request.step === "release" && answer.outcome.kind === "answer" && answer.session !== null
    )!;
    const foreign = await makeVerifier(provider.verifier.issuer, now());
    for (const keySet of [foreign.keySet(), null]) {
      const { outcome, event } = await provider.vault.step({ ...judged.request, keySet });
      assert.deepEqual([outcome.kind, event?.reasons], ["refuse", ["verification-keys"]]);
    }
  });

  await t.step("attempts at two nodes at once: each is counted, and one request has one effect", async () => {
    const backupId = newId();
    await backup(maker, makeDevice(maker, newSeed()), [provider], backupId);
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    const nodes = [service, provider.secondNode];
    const tries: { node: typeof service; session: string; body: { sealedVerification: string } }[] = [];
    for (let i = 0; i <= limits.attempts; i++) {
      const host = await HostSession.open(maker, device);
      const { session, answer } = await open(host, provider, "release", backupId, true);
      const wrong = i < limits.attempts ? { aud: "guess" } : undefined;
      const sealedVerification = await verify(provider, answer, device, clock, wrong);
      tries.push({ node: nodes[i % 2]!, session, body: { sealedVerification } });
    }
    const patiently = async ({ node, session, body }: (typeof tries)[number]): Promise<StepOutcome> => {
      for (;;) {
        try {
          return await node.step("release", session, body);
        } catch (error) {
          // Others were first each time: a caller sends the same bytes again.
          assert.equal(codeOf(error), "PROVIDER_CONFLICT");
        }
      }
    };
    await Promise.all(tries.slice(0, limits.attempts).flatMap((one) => [patiently(one), patiently(one)]));
    const { length: count } = await entered(provider, "provider.attempt-counted");
    for (const one of tries.slice(0, limits.attempts)) await patiently(one);
    assert.equal((await entered(provider, "provider.attempt-counted")).length, count);
    refused(await patiently(tries.at(-1)!), "PROVIDER_REFUSED", "attempts");
  });

  await t.step("a result that was used, and more releases than allowed", async () => {
    const backupId = newId();
    await backup(maker, makeDevice(maker, newSeed()), [provider], backupId);
    const jti = crypto.randomUUID();
    const device = makeDevice(maker);
    const one = await releasable(provider, backupId, device);
    const first = await verify(provider, one.answer, device, clock, { jti });
    assert.equal((await service.step("release", one.session, { sealedVerification: first })).kind, "answer");
    const two = await releasable(provider, backupId, device);
    const again = await verify(provider, two.answer, device, clock, { jti });
    refused(
      await service.step("release", two.session, { sealedVerification: again }),
      "PROVIDER_REFUSED",
      "verification-used",
    );
    await confirm(maker, device, [provider], backupId);
    const host = await HostSession.open(maker, device);
    const { session, answer } = await open(host, provider, "release", backupId, true);
    const fresh = await verify(provider, answer, device, clock);
    assert.equal((await service.step("release", session, { sealedVerification: fresh })).kind, "answer");
    const third = await releasable(provider, backupId, device);
    const last = await verify(provider, third.answer, device, clock);
    refused(
      await service.step("release", third.session, { sealedVerification: last }),
      "PROVIDER_REFUSED",
      "releases",
    );
  });

  await t.step("more than the allowed attempts, also when the database is set back", async () => {
    const backupId = newId();
    await backup(maker, makeDevice(maker, newSeed()), [provider], backupId);
    const { sql } = provider.database;
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    const identifier = (await provider.vault.locate({ backupId })).identifier.toLowerCase();
    const kept = (await rows(provider)).find(({ id }) => id === identifier)!.blob;
    const setBack = () =>
      sql`UPDATE backups SET blob = decode(${kept}, 'hex') WHERE identifier = decode(${identifier}, 'hex')`;
    const attempt = async (node = service, change?: Record<string, unknown>) => {
      const host = await HostSession.open(maker, device);
      const request = openRequest(host, "release", backupId, true);
      const opened = await node.step("open", request.session, request);
      if (opened.kind === "refuse") return opened;
      const answer = opened.answer as Parameters<HostSession["introduce"]>[0];
      await host.introduce(answer);
      const sealedVerification = await verify(provider, answer, device, clock, change);
      return await node.step("release", request.session, { sealedVerification });
    };
    for (let i = 0; i < limits.attempts; i++) {
      refused(await attempt(service, { aud: "guess" }), "PROVIDER_REFUSED", "verification-audience");
    }
    refused(await attempt(), "PROVIDER_REFUSED", "attempts");
    await setBack();
    refused(await attempt(), "PROVIDER_REFUSED", "backup-stale");
    // A vault that was started again remembers nothing: the log does.
    refused(await attempt(provider.freshNode()), "PROVIDER_REFUSED", "backup-set-back");
    // Row and log set back together, by one who owns the database: the vault that runs remembers.
    await sql.unsafe("ALTER TABLE changes DISABLE TRIGGER never_changed; DELETE FROM changes");
    refused(await attempt(), "PROVIDER_REFUSED", "backup-stale");
    await sql.unsafe("ALTER TABLE changes ENABLE TRIGGER never_changed");
  });

  await t.step("a row that comes back after its deletion", async () => {
    const backupId = newId();
    const owner = makeDevice(maker, newSeed());
    await backup(maker, owner, [provider], backupId);
    const { sql } = provider.database;
    const before = await rows(provider);
    await remove(maker, owner, [provider], backupId);
    const left = new Set((await rows(provider)).map(({ id }) => id));
    const gone = before.find(({ id }) => !left.has(id))!;
    await sql`INSERT INTO backups VALUES (decode(${gone.id}, 'hex'), 1, decode(${gone.blob}, 'hex'))`;
    const host = await HostSession.open(maker, makeDevice(maker));
    const request = openRequest(host, "restore", backupId, true);
    const node = provider.freshNode();
    const opened = await node.step("open", request.session, request);
    assert.equal(opened.kind, "answer");
    const confirmation = await host.introduce(
      (opened as { answer: Parameters<HostSession["introduce"]>[0] }).answer,
    );
    const step = await node.step("confirm", request.session, { sealedConfirmation: confirmation });
    refused(step, "PROVIDER_REFUSED", "backup-set-back");
    // And the owner may make a new backup of the same identifier once the row is gone.
    await sql`DELETE FROM backups WHERE identifier = decode(${gone.id}, 'hex')`;
    await backup(maker, owner, [provider], backupId);
    const device = makeDevice(maker);
    await confirm(maker, device, [provider], backupId);
    await release(maker, device, [provider], backupId, clock);
  });
});
