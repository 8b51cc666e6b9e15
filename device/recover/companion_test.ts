import assert from "node:assert/strict";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { RecoverSessionAnswer, RecoverStep } from "shared/protocol/wire/recover_session.ts";
import { type OrchestratorPort, REPETITIONS_MAX, runSession, STEPS_MAX } from "./companion.ts";

defineErrors({ TEST_PASSING: { fault: "service", retry: true, next: "Again." } });

const REQUEST = { session: crypto.randomUUID(), flow: "restore", backupId: "00".repeat(16) } as const;
const answer = (step: RecoverStep, batch = 1): RecoverSessionAnswer => ({ ...REQUEST, batch, step });
const APDUS: RecoverStep = {
  kind: "apdus",
  apdus: ["E004020000", "E050000000"],
  phase: "greeting",
  provider: null,
};

function scripted(next: (batch: number) => RecoverSessionAnswer | CodedError) {
  const sent: unknown[] = [];
  const reply = (what: unknown, batch: number) => {
    sent.push(what);
    const value = next(batch);
    return value instanceof CodedError ? Promise.reject(value) : Promise.resolve(value);
  };
  const orchestrator: OrchestratorPort = {
    create: () => Promise.resolve(answer(APDUS)),
    apdus: (_session, answers) => reply(answers, answers.batch),
    verification: (_session, result) => reply(result, result.batch),
    giveUp: () => reply("given up", 0),
  };
  return { orchestrator, sent };
}

const run = (orchestrator: OrchestratorPort, device: (apdu: Uint8Array) => Uint8Array) =>
  runSession({
    orchestrator,
    device: (apdu) => Promise.resolve(device(apdu)),
    verify: () => Promise.resolve("result"),
    pause: () => Promise.resolve(),
  }, REQUEST);
const ok = () => Uint8Array.of(0x90, 0x00);

Deno.test("runSession() sends a batch to the device once, and its answers until they are heard", async () => {
  let refusals = REPETITIONS_MAX - 1;
  let commands = 0;
  const { orchestrator, sent } = scripted(() =>
    refusals-- > 0 ? new CodedError("TEST_PASSING", "gone") : answer({ kind: "done" }, 2)
  );
  const { step } = await run(orchestrator, () => (commands++, ok()));
  assert.equal(step.kind, "done");
  assert.equal(commands, 2);
  assert.deepEqual(new Set(sent.map((each) => JSON.stringify(each))).size, 1);
  assert.equal(sent.length, REPETITIONS_MAX);
});

Deno.test("runSession() stops a batch at the first answer that is not 9000, and tells it", async () => {
  const failed = { kind: "failed", code: "NO", detail: "no", next: "stop" } as const;
  const { orchestrator, sent } = scripted(() => answer(failed, 2));
  const refused = () => Uint8Array.of(0x69, 0x85);
  await assert.rejects(run(orchestrator, refused), {
    code: "RECOVER_SESSION_FAILED",
    details: { code: "NO", next: "stop" },
  });
  assert.deepEqual(sent, [{ batch: 1, answers: ["6985"] }]);
});

Deno.test("runSession() gives up what it began when the device leaves or nobody hears it", async () => {
  const { orchestrator, sent } = scripted(() => new CodedError("TEST_PASSING", "gone"));
  await assert.rejects(
    run(orchestrator, () => {
      throw new CodedError("RECOVER_FIELD", "left");
    }),
    { code: "RECOVER_FIELD" },
  );
  assert.deepEqual(sent, ["given up"]);
  await assert.rejects(run(orchestrator, ok), { code: "TEST_PASSING" });
  assert.equal(sent.at(-1), "given up");
});

Deno.test("runSession() does not follow an orchestrator without end", async () => {
  const { orchestrator, sent } = scripted((batch) => answer(APDUS, batch + 1));
  await assert.rejects(run(orchestrator, ok), { code: "RECOVER_SESSION_STEPS" });
  assert.equal(sent.length, STEPS_MAX + 1);
});
