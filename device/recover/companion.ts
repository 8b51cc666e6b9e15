/**
 * The wallet's companion in a Recover session: carries batches of APDUs from the orchestrator to the device and the answers back.
 * It opens nothing: what it carries is sealed, but for certificates and nonces.
 *
 * A batch goes to the device once. Its answers go to the orchestrator as often as it takes: the number of the batch makes the
 * repetition harmless.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type {
  ApduAnswers,
  CreateRecoverSession,
  RecoverSessionAnswer,
  RecoverStep,
  VerificationResult,
} from "shared/protocol/wire/recover_session.ts";

/** Most steps of a session: a restore has eleven. */
export const STEPS_MAX = 32;
/** Times that one answer is sent, pauses between them growing. */
export const REPETITIONS_MAX = 5;
const PAUSE_MS = 200;

/** The orchestrator, as the companion sees it. Every request may be repeated. */
export interface OrchestratorPort {
  create(request: CreateRecoverSession): Promise<RecoverSessionAnswer>;
  apdus(session: string, answers: ApduAnswers): Promise<RecoverSessionAnswer>;
  verification(session: string, result: VerificationResult): Promise<RecoverSessionAnswer>;
  giveUp(session: string): Promise<RecoverSessionAnswer>;
}

/** A step that asks for an identity verification. */
export type VerifyStep = Extract<RecoverStep, { kind: "verify" }>;

/** What the companion needs. */
export interface CompanionContext {
  readonly orchestrator: OrchestratorPort;
  /** One APDU to the device; data and status word back. */
  readonly device: (apdu: Uint8Array) => Promise<Uint8Array>;
  /** Has the person verified; the result is sealed to the provider's vault. */
  readonly verify: (step: VerifyStep) => Promise<string>;
  /** Told of each step before it is done. */
  readonly progress?: (step: RecoverStep, batch: number) => void;
  /** For tests: how to wait. */
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/**
 * Runs a session to its end. @returns the last answer: its step is `done`.
 * @throws {CodedError} `RECOVER_SESSION_FAILED` with the orchestrator's code; `RECOVER_SESSION_STEPS`; errors of the ports.
 */
export async function runSession(
  context: CompanionContext,
  request: CreateRecoverSession,
): Promise<RecoverSessionAnswer> {
  let begun = false;
  try {
    let answer = await repeated(context, () => context.orchestrator.create(request));
    begun = true;
    for (let step = 0; step < STEPS_MAX; step++) {
      context.progress?.(answer.step, answer.batch);
      switch (answer.step.kind) {
        case "done":
          return answer;
        case "failed": {
          const { code, detail, next } = answer.step;
          throw new CodedError("RECOVER_SESSION_FAILED", detail, { code, next });
        }
        case "apdus":
          answer = await relay(context, answer, answer.step.apdus);
          break;
        case "verify": {
          const result = { batch: answer.batch, sealedVerification: await context.verify(answer.step) };
          answer = await repeated(context, () => context.orchestrator.verification(request.session, result));
        }
      }
    }
    throw new CodedError(
      "RECOVER_SESSION_STEPS",
      `Cannot go on: the session has more than ${STEPS_MAX} steps`,
    );
  } catch (error) {
    const ended = error instanceof CodedError && error.code === "RECOVER_SESSION_FAILED";
    // What was begun at providers is taken back; if even this is not heard, the orchestrator does it after a while.
    if (begun && !ended) await context.orchestrator.giveUp(request.session).catch(() => {});
    throw error;
  }
}

async function relay(
  context: CompanionContext,
  { session, batch }: RecoverSessionAnswer,
  apdus: readonly string[],
): Promise<RecoverSessionAnswer> {
  const answers: string[] = [];
  for (const apdu of apdus) {
    const answer = await context.device(fromHex(apdu));
    answers.push(toHex(answer));
    const isOk = answer.at(-2) === 0x90 && answer.at(-1) === 0x00;
    if (!isOk) break;
  }
  return await repeated(context, () => context.orchestrator.apdus(session, { batch, answers }));
}

/** Sends again what failed for a reason that can pass. */
async function repeated<T>(context: CompanionContext, send: () => Promise<T>): Promise<T> {
  const pause = context.pause ??
    ((milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)));
  for (let attempt = 1;; attempt++) {
    try {
      return await send();
    } catch (error) {
      const isPassing = error instanceof CodedError &&
        (error.row.retry || Number(error.details.status) >= 500);
      if (!isPassing || attempt === REPETITIONS_MAX) throw error;
      await pause(PAUSE_MS * 2 ** attempt);
    }
  }
}

defineErrors({
  RECOVER_SESSION_FAILED: {
    fault: "peer",
    retry: false,
    next: "Read why, put it right, and start again. Nothing that was stored before is lost.",
  },
  RECOVER_SESSION_STEPS: {
    fault: "peer",
    retry: false,
    next: "The orchestrator does not follow the protocol: tell whoever runs the service.",
  },
});
