/**
 * What the orchestrator does by itself in a phase: its signature, and requests to providers. Each can be repeated to the byte
 * after a crash, because everything random was drawn and stored when the session began.
 */

import { toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import "../domain/errors.ts";
import type { RecoverFlow, SessionStateAnswer } from "shared/protocol/wire/recover.ts";
import { AUXILIARY_POINT, THRESHOLD } from "shared/protocol/recover/constants.ts";
import { ephemeralBytes } from "../domain/device_channel.ts";
import { checkDeposit, checkOpened, checkRelease } from "../domain/provider_answers.ts";
import { type ProviderPart, type SessionState, withPart, withRound } from "../domain/session.ts";
import { PHASE_FACTS } from "../domain/session_flow.ts";
import { partInTurn, proceed } from "../domain/steps.ts";
import type { OrchestratorContext, ProviderPort } from "./ports.ts";

/**
 * Does the work of the present phase. @returns the next state: the same phase when some of the work is left.
 * @throws {CodedError} `ORCHESTRATOR_PROVIDERS_AWAY` (again later), others when the session cannot go on.
 */
export async function carryOut(context: OrchestratorContext, state: SessionState): Promise<SessionState> {
  const { round } = PHASE_FACTS[state.phase];
  const part = partInTurn(state);
  const provider = portOf(context, part);
  const identity = context.scene.providers[part.index - 1]!;
  switch (state.phase) {
    case "certifying":
    case "certifying-again": {
      const signature = await context.sign(ephemeralBytes(state.rounds[round]));
      return proceed(withRound(state, round, { signature: toHex(signature) }));
    }
    case "opening":
      return state.flow === "restore" ? await openOne(context, state) : await openAll(context, state, 0);
    case "opening-again":
      return await openAll(context, state, 1);
    case "depositing": {
      const deposited = await provider.deposit(part.sessions[0], {
        sealedShare: part.sealedShare!,
        words: state.words!,
        commitments: state.commitments!,
        auxiliaryPoint: toHex(AUXILIARY_POINT),
        sealedVerification: part.sealedVerification,
      });
      checkDeposit(identity, state.commitments!, deposited);
      return proceed(withPart(state, state.cursor, { deposited }));
    }
    case "committing":
      await atAll(context, state, "stored", (port, { sessions }) => port.commit(sessions[0]));
      return proceed(state);
    case "confirming": {
      const sealedConfirmation = part.sealedConfirmation!;
      requireState(await provider.confirm(part.sessions[0], { sealedConfirmation }), "locked");
      return proceed(state);
    }
    case "releasing": {
      const released = await provider.release(part.sessions[1], {
        sealedVerification: part.sealedVerification ?? "",
      });
      const record = await context.store.backup(state.backupId);
      checkRelease(identity, {
        commitments: state.commitments ?? record?.commitments ?? null,
        words: state.words ?? record?.words ?? null,
      }, released);
      const { commitments, words } = released;
      return proceed(withPart({ ...state, commitments, words }, state.cursor, { released }));
    }
    case "asking": {
      const asking = await provider.delete(part.sessions[0], { sealedVerification: part.sealedVerification });
      return proceed(withPart(state, state.cursor, { asking }));
    }
    case "deleting":
      await atAll(
        context,
        state,
        "deleted",
        (port, { sessions, sealedSignature }) =>
          port.deletion(sessions[0], { sealedSignature: sealedSignature! }),
      );
      return proceed(state);
    case "abandoning":
      // Only a deposit leaves anything behind; a session that was merely opened ends by itself.
      await atAll(
        context,
        { ...state, parts: state.parts.filter(({ sealedShare }) => sealedShare !== null) },
        "abandoned",
        abandon,
      );
      return proceed(state);
    default:
      throw new CodedError("INTERNAL", `Cannot carry out ${state.phase}: it is not the orchestrator's`);
  }
}

function portOf({ providers }: OrchestratorContext, { index }: ProviderPart): ProviderPort {
  return providers[index - 1]!;
}

/** Opens every part's session of a round. */
async function openAll(
  context: OrchestratorContext,
  state: SessionState,
  round: 0 | 1,
): Promise<SessionState> {
  const answers = await settleAll(
    state.parts.map((part, i) => open(context, state, part, round, i === 0)),
  );
  let identity = state.identity;
  let next = state;
  for (const [i, answer] of answers.entries()) {
    const { index, sessions } = state.parts[i]!;
    identity = checkOpened(context.scene.providers[index - 1]!, context.scene.providerRoot, answer, {
      session: sessions[round],
      first: i === 0,
      backup: state.flow === "backup",
      identity,
    });
    const [first, second] = next.parts[i]!.opened;
    next = withPart(next, i, { opened: round === 0 ? [answer, second] : [first, answer] });
  }
  return proceed({ ...next, identity });
}

/**
 * Of a restore: opens one more session, until two providers have. One that is away or whose answer does not hold is passed over;
 * that is stored before the next is asked, so that each is always asked with the same bytes.
 */
async function openOne(context: OrchestratorContext, state: SessionState): Promise<SessionState> {
  const opened = state.parts.filter(({ opened }) => opened[0] !== null);
  const at = state.parts.findIndex(({ opened, passedOver }) => opened[0] === null && !passedOver);
  const part = state.parts[at]!;
  const first = opened.length === 0;
  try {
    const answer = await open(context, state, part, 0, first);
    const identity = checkOpened(
      context.scene.providers[part.index - 1]!,
      context.scene.providerRoot,
      answer,
      { session: part.sessions[0], first, backup: false, identity: state.identity },
    );
    const next = withPart({ ...state, identity }, at, { opened: [answer, null] });
    if (opened.length + 1 < THRESHOLD) return next;
    return proceed({ ...next, parts: next.parts.filter(({ opened }) => opened[0] !== null) });
  } catch (error) {
    const others = state.parts.filter(({ passedOver }) => !passedOver).length - 1;
    if (!(error instanceof CodedError) || others < THRESHOLD) throw error;
    context.log.warning("recover.provider-passed-over", {
      session: state.session,
      provider: context.scene.providers[part.index - 1]!.name,
      code: error.code,
    });
    return withPart(state, at, { passedOver: true });
  }
}

function open(
  context: OrchestratorContext,
  state: SessionState,
  part: ProviderPart,
  round: 0 | 1,
  first: boolean,
) {
  const flow: RecoverFlow = round === 1 ? "release" : state.flow;
  return portOf(context, part).open({
    session: part.sessions[round],
    flow,
    backupId: state.backupId,
    identity: state.flow === "backup" ? state.identity : null,
    device: state.rounds[round].device!,
    first,
  });
}

/** Asks every part's provider at once, and waits for all of them whatever one says. */
async function atAll(
  context: OrchestratorContext,
  state: SessionState,
  expected: SessionStateAnswer["state"],
  work: (port: ProviderPort, part: ProviderPart) => Promise<SessionStateAnswer>,
): Promise<void> {
  await settleAll(
    state.parts.map(async (part) => requireState(await work(portOf(context, part), part), expected)),
  );
}

async function settleAll<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  const failed = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  // A refusal decides; who is merely away may come back.
  const worst = failed.find((error) => codeOf(error) !== "ORCHESTRATOR_PROVIDERS_AWAY") ?? failed[0];
  if (worst !== undefined) throw worst;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

/**
 * A provider that never acknowledged a deposit and refuses to forget one has none: it refused the deposit itself, or never heard
 * of the session.
 */
async function abandon(port: ProviderPort, part: ProviderPart): Promise<SessionStateAnswer> {
  const session = part.sessions[0];
  try {
    return await port.abandon(session);
  } catch (error) {
    if (part.deposited === null && codeOf(error) === "ORCHESTRATOR_PROVIDER_REFUSED") {
      return { session, state: "abandoned" };
    }
    throw error;
  }
}

function requireState(answer: SessionStateAnswer, expected: SessionStateAnswer["state"]): void {
  if (answer.state !== expected) {
    throw new CodedError("ORCHESTRATOR_PROVIDER", `Cannot go on: a provider answers "${answer.state}"`);
  }
}
