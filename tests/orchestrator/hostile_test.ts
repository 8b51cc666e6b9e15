/** Hostile providers and companions, and people who say no: no wrong seed, no backup half-way, none lost. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { ApduAnswers, RecoverSessionAnswer } from "shared/protocol/wire/recover_session.ts";
import type { DepositAnswer, OpenSessionAnswer, ReleaseAnswer } from "shared/protocol/wire/recover.ts";
import { expectedShareCommitment } from "shared/protocol/recover/sharing.ts";
import type { OrchestratorPort } from "device/recover/companion.ts";
import { BACKUP, RecoverScene } from "./scene.ts";
import type { InMemoryProvider } from "./in_memory_provider.ts";

const flipped = (hex: string, at = hex.length - 1) =>
  hex.slice(0, at) + (hex[at] === "0" ? "1" : "0") + hex.slice(at + 1);

/** The code of why a session failed. */
async function failure(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (error instanceof CodedError) return error.details.code ?? error.code;
    throw error;
  }
  assert.fail("it did not fail");
}

async function backedUp() {
  const scene = new RecoverScene();
  const owner = scene.device(32);
  const { backupId } = await scene.run(owner, BACKUP);
  return { scene, owner, backupId };
}

type Lie = (provider: InMemoryProvider, scene: RecoverScene) => InMemoryProvider["hostile"];

function lie<T>(operation: string, change: (answer: T) => T): InMemoryProvider["hostile"] {
  return (done, answer) =>
    done === operation ? change(answer as unknown as T) as unknown as typeof answer : answer;
}

const BACKUP_LIES: Record<string, [Lie, string]> = {
  "another provider's name": [
    () => lie<OpenSessionAnswer>("open", (answer) => ({ ...answer, providerName: "Backup_9" })),
    "ORCHESTRATOR_PROVIDER",
  ],
  "a static certificate with a bad signature": [
    () =>
      lie<OpenSessionAnswer>("open", (answer) => ({
        ...answer,
        staticCertificate: flipped(answer.staticCertificate),
      })),
    "ORCHESTRATOR_PROVIDER",
  ],
  "an ephemeral certificate with a bad signature": [
    () =>
      lie<OpenSessionAnswer>("open", (answer) => ({
        ...answer,
        ephemeralCertificate: flipped(answer.ephemeralCertificate),
      })),
    "ORCHESTRATOR_PROVIDER",
  ],
  "an identity nobody asked it to tell": [
    () => lie<OpenSessionAnswer>("open", (answer) => ({ ...answer, sealedIdentity: "00".repeat(60) })),
    "ORCHESTRATOR_PROVIDER",
  ],
  "another session": [
    () => lie<OpenSessionAnswer>("open", (answer) => ({ ...answer, session: crypto.randomUUID() })),
    "ORCHESTRATOR_PROVIDER",
  ],
  "a sealed hash that the device does not open": [
    () => lie<OpenSessionAnswer>("open", (answer) => ({ ...answer, sealedHash: flipped(answer.sealedHash) })),
    "ORCHESTRATOR_DEVICE_REFUSED",
  ],
  "another share's commitment": [
    (_provider, scene) =>
      lie<DepositAnswer>("deposit", (answer) => {
        const { commitments } = scene.providers[0]!.rows.values().toArray()[0]!;
        return { ...answer, shareCommitment: toHex(expectedShareCommitment(fromHex(commitments), 3)) };
      }),
    "ORCHESTRATOR_PROVIDER",
  ],
  "values that are not those it was given": [
    () =>
      lie<DepositAnswer>("deposit", (answer) => ({ ...answer, sealedValues: flipped(answer.sealedValues) })),
    "ORCHESTRATOR_DEVICE_REFUSED",
  ],
};

for (const [name, [make, code]] of Object.entries(BACKUP_LIES)) {
  Deno.test(`a backup is taken back everywhere when one provider tells ${name}`, async () => {
    const scene = new RecoverScene();
    const device = scene.device(16);
    const [, second] = scene.providers;
    second!.hostile = make(second!, scene);
    assert.equal(await failure(scene.run(device, BACKUP)), code);
    assert.deepEqual(scene.providers.map(({ rows }) => rows.size), [0, 0, 0]);
    second!.hostile = (_, answer) => answer;
    const { backupId } = await scene.run(device, BACKUP);
    assert.equal(scene.inForce(backupId), 3);
  });
}

const RELEASE_LIES: Record<
  string,
  (answer: ReleaseAnswer, other: ReleaseAnswer["commitments"]) => ReleaseAnswer
> = {
  "commitments of another backup": (answer, commitments) => ({
    ...answer,
    commitments,
    shareCommitment: toHex(expectedShareCommitment(fromHex(commitments), 2)),
  }),
  "another index": (answer) => ({
    ...answer,
    shareCommitment: toHex(expectedShareCommitment(fromHex(answer.commitments), 3)),
  }),
  "no points of the curve": (answer) => ({ ...answer, commitments: flipped(answer.commitments) }),
  "another number of words": (answer) => ({ ...answer, words: 12 }),
  "a changed share": (answer) => ({ ...answer, sealedShare: flipped(answer.sealedShare) }),
  "changed values": (answer) => ({ ...answer, sealedValues: flipped(answer.sealedValues) }),
};

for (const [name, change] of Object.entries(RELEASE_LIES)) {
  Deno.test(`no seed is restored when a provider releases ${name}, and the backup stays`, async () => {
    const { scene, owner, backupId } = await backedUp();
    const other = await scene.run(scene.device(32), BACKUP);
    const { commitments } = scene.providers[1]!.rows.get(other.backupId)!;
    const second = scene.providers[1]!;
    second.hostile = lie<ReleaseAnswer>("release", (answer) => change(answer, commitments));
    const device = scene.device();
    await failure(scene.run(device, { flow: "restore", backupId }));
    assert.equal(device.entropy, undefined);
    assert.equal(scene.inForce(backupId), 3);
    // It cannot block the other two.
    const next = scene.device();
    await scene.run(next, { flow: "restore", backupId, avoid: 2 });
    assert.equal(toHex(next.entropy!), toHex(owner.entropy!));
  });
}

Deno.test("a provider that keeps another identity is passed over, and two that agree restore", async () => {
  const { scene, owner, backupId } = await backedUp();
  scene.providers[1]!.hostile = lie<OpenSessionAnswer>("open", (answer) => ({
    ...answer,
    identity: { ...answer.identity!, lastName: "Byron" },
  }));
  const device = scene.device();
  await scene.run(device, { flow: "restore", backupId });
  assert.equal(toHex(device.entropy!), toHex(owner.entropy!));
  assert.deepEqual(scene.takeRequests().map((requests) => requests.includes("release")), [true, false, true]);
  assert.ok(scene.logged.some((line) => line.includes("ORCHESTRATOR_IDENTITIES")));
});

Deno.test("a provider that is away is passed over in a restore", async () => {
  const { scene, owner, backupId } = await backedUp();
  scene.providers[0]!.away = true;
  const device = scene.device();
  await scene.run(device, { flow: "restore", backupId });
  assert.equal(toHex(device.entropy!), toHex(owner.entropy!));
});

Deno.test("names that are joined to the same text are different identities", async () => {
  const { scene, backupId } = await backedUp();
  for (const index of [1, 2]) {
    scene.providers[index]!.hostile = lie<OpenSessionAnswer>("open", (answer) => ({
      ...answer,
      identity: { ...answer.identity!, firstName: "AdaL", lastName: "ovelace" },
    }));
  }
  const code = await failure(scene.run(scene.device(), { flow: "restore", backupId }));
  assert.equal(code, "ORCHESTRATOR_IDENTITIES");
});

Deno.test("a deletion that one provider refuses deletes nothing anywhere", async () => {
  const { scene, owner, backupId } = await backedUp();
  scene.providers[2]!.hostile = lie<OpenSessionAnswer>(
    "open",
    (answer) => ({ ...answer, providerName: "x" }),
  );
  await failure(scene.run(owner, { flow: "delete", backupId }));
  assert.equal(scene.inForce(backupId), 3);
});

Deno.test("another device in the second half of a restore gets no share", async () => {
  const { scene, backupId } = await backedUp();
  const [first, second] = [scene.device(), scene.device()];
  let greetings = 0;
  const code = await failure(scene.run(first, { flow: "restore", backupId }, {
    device: (apdu) => {
      if (apdu[1] === 0x04) greetings++;
      return (greetings < 2 ? first : second).device.process(apdu);
    },
  }));
  assert.equal(code, "ORCHESTRATOR_DEVICE");
  assert.deepEqual([first.entropy, second.entropy], [undefined, undefined]);
});

Deno.test("a device of another maker is refused before any provider hears of it", async () => {
  const scene = new RecoverScene();
  const foreign = new RecoverScene().device(16);
  // It refuses the orchestrator, too; so its certificates are taken from a session with its own.
  const code = await failure(scene.run(foreign, BACKUP));
  assert.equal(code, "ORCHESTRATOR_DEVICE_REFUSED");
  assert.deepEqual(scene.takeRequests(), [[], [], []]);
});

Deno.test("a person who says no ends the session, and nothing is stored", async () => {
  const scene = new RecoverScene();
  const device = scene.device(16);
  device.says = false;
  assert.equal(await failure(scene.run(device, BACKUP)), "ORCHESTRATOR_DEVICE_REFUSED");
  assert.deepEqual(scene.providers.map(({ rows }) => rows.size), [0, 0, 0]);
});

Deno.test("a provider that is away delays a backup's end, and never halves it", async () => {
  const scene = new RecoverScene();
  const device = scene.device(16);
  const third = scene.providers[2]!;
  const inner = third.commit.bind(third);
  let refusals = 2;
  third.commit = (session) => {
    third.away = refusals-- > 0;
    return inner(session);
  };
  const { backupId } = await scene.run(device, BACKUP);
  assert.equal(scene.inForce(backupId), 3);
});

/** Companions that change what they carry. Each is a change of one request. */
const COMPANIONS: Record<string, (answers: ApduAnswers, before: ApduAnswers | undefined) => ApduAnswers> = {
  "drops the last answer": ({ batch, answers }) => ({ batch, answers: answers.slice(0, -1) }),
  "reorders answers": ({ batch, answers }) => ({ batch, answers: answers.toReversed() }),
  "changes an answer": ({ batch, answers }) => ({
    batch,
    answers: answers.with(-1, flipped(answers.at(-1)!, 0)),
  }),
  "repeats the batch before as this one": ({ batch, answers }, before) => ({
    batch,
    answers: before?.answers ?? answers.toReversed(),
  }),
  "invents success": ({ batch, answers }) => ({ batch, answers: answers.map(() => "9000") }),
  "skips a batch": ({ batch, answers }) => ({ batch: batch + 1, answers }),
};

for (const [name, change] of Object.entries(COMPANIONS)) {
  Deno.test(`a companion that ${name}, at every batch: no wrong seed, no backup half-way, none lost`, async () => {
    const { scene, owner, backupId } = await backedUp();
    for (const request of [BACKUP, { flow: "restore", backupId } as const]) {
      for (let at = 1, wasReached = true; wasReached; at++) {
        const device = request.flow === "restore" ? scene.device() : scene.device(16);
        wasReached = false;
        let before: ApduAnswers | undefined;
        const port = scene.port();
        const orchestrator: OrchestratorPort = {
          ...port,
          apdus: (session, answers) => {
            const sent = answers.batch === at ? change(answers, before) : answers;
            wasReached ||= answers.batch === at;
            before = answers;
            return port.apdus(session, sent);
          },
        };
        for (const { rows } of scene.providers) for (const row of rows.values()) row.releases = 0;
        await scene.run(device, request, { orchestrator }).catch((error) => {
          if (!(error instanceof CodedError)) throw error;
        });
        assert.equal(scene.inForce(backupId), 3);
        assert.equal(scene.leftOver(), 0);
        const counts = scene.providers.map(({ rows }) => rows.size);
        assert.equal(new Set(counts).size, 1, "as many backups at every provider");
        if (request.flow === "restore" && device.entropy) {
          assert.equal(toHex(device.entropy), toHex(owner.entropy!));
        }
      }
    }
  });
}

Deno.test("the same answers twice count once; other answers to a step that was answered are refused", async () => {
  const scene = new RecoverScene();
  const port = scene.port();
  const seen: RecoverSessionAnswer[] = [];
  const orchestrator: OrchestratorPort = {
    ...port,
    apdus: async (session, answers) => {
      const [answer, again] = [await port.apdus(session, answers), await port.apdus(session, answers)];
      assert.deepEqual(again, answer);
      seen.push(answer);
      const other = { batch: answers.batch, answers: [...answers.answers, "9000"] };
      await assert.rejects(port.apdus(session, other), { code: "ORCHESTRATOR_BATCH" });
      return answer;
    },
  };
  const { backupId } = await scene.run(scene.device(16), BACKUP, { orchestrator });
  assert.equal(scene.inForce(backupId), 3);
  assert.deepEqual(scene.takeRequests().map(({ length }) => length), [3, 3, 3]);
  assert.deepEqual(seen.map(({ batch }) => batch).toSorted((a, b) => a - b), seen.map(({ batch }) => batch));
});

Deno.test("a session belongs to the companion that began it", async () => {
  const scene = new RecoverScene();
  const session = crypto.randomUUID();
  const begin = {
    session,
    flow: "backup",
    identity: BACKUP.flow === "backup" ? BACKUP.identity : undefined!,
  } as const;
  const first = await scene.orchestrator.create("urn:a", begin);
  assert.deepEqual(await scene.orchestrator.create("urn:a", begin), first);
  await assert.rejects(scene.orchestrator.create("urn:b", begin), { code: "ORCHESTRATOR_SESSION_OTHER" });
  await assert.rejects(scene.orchestrator.show("urn:b", session), { code: "ORCHESTRATOR_SESSION_UNKNOWN" });
  await assert.rejects(
    scene.orchestrator.create("urn:a", { ...begin, identity: { ...begin.identity, firstName: "Eve" } }),
    { code: "ORCHESTRATOR_SESSION_OTHER" },
  );
});
