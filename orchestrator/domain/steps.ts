/**
 * A session's steps as pure functions: what is asked next (`present`), what an answer changes (`consume`), and how it goes on
 * (`proceed`, `fail`). Effects between them are the service's (service/effects.ts).
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, errorRow } from "shared/base/errors.ts";
import type { RecoverChannel } from "shared/protocol/recover/channel.ts";
import type { OpenSessionAnswer } from "shared/protocol/wire/recover.ts";
import type { RecoverStep } from "shared/protocol/wire/recover_session.ts";
import {
  channelOf,
  greetingApdus,
  type HostIdentity,
  introductionApdus,
  readGreeting,
  readIntroduction,
  wrong,
} from "./device_channel.ts";
import type { ProviderIdentity } from "./provider_answers.ts";
import {
  bindingApdus,
  provingApdus,
  readBinding,
  readEmpty,
  readSharing,
  readSigning,
  restoringApdus,
  sharingApdus,
  signingApdus,
} from "./provider_apdus.ts";
import { type ProviderPart, type SessionState, withoutSecrets, withPart, withRound } from "./session.ts";
import { CARRIED_THROUGH, ENDED, PHASE_FACTS, SESSION_FLOWS } from "./session_flow.ts";

/** What surrounds every session. */
export interface Scene {
  readonly host: HostIdentity;
  /** In order of index: 1, 2, 3. */
  readonly providers: readonly ProviderIdentity[];
  /** Key (65) that signs the certificates of providers. */
  readonly providerRoot: Uint8Array;
}

/** What a companion sent for a step. */
export type StepAnswer =
  | { readonly kind: "apdus"; readonly answers: readonly string[] }
  | { readonly kind: "verification"; readonly sealedVerification: string };

/** The provider whose turn it is. */
export function partInTurn(state: SessionState): ProviderPart {
  return state.parts[state.cursor]!;
}

/** What this provider opened the present round with. */
export function openedInTurn(state: SessionState): OpenSessionAnswer {
  return partInTurn(state).opened[PHASE_FACTS[state.phase].round]!;
}

function providerName(state: SessionState, scene: Scene): string {
  return scene.providers[partInTurn(state).index - 1]!.name;
}

/** Puts the step of the present phase before the companion. @throws {CodedError} `ORCHESTRATOR_PROVIDER`. */
export function present(state: SessionState, scene: Scene): SessionState {
  const step = stepOf(state, scene);
  const batch = state.answerDigest === null ? state.batch : state.batch + 1;
  return { ...(ENDED.includes(state.phase) ? withoutSecrets(state) : state), step, batch };
}

function stepOf(state: SessionState, scene: Scene): RecoverStep {
  const { phase } = state;
  if (phase === "done") return { kind: "done" };
  if (phase === "failed") return { kind: "failed", ...state.failure! };
  const { round, each, actor } = PHASE_FACTS[phase];
  if (actor === "person") {
    const { verifier, nonce } = openedInTurn(state).verification!;
    return {
      kind: "verify",
      provider: providerName(state, scene),
      verifier,
      nonce,
      securityCode: state.cursor === 0,
    };
  }
  return {
    kind: "apdus",
    apdus: apdusOf(state, scene),
    phase,
    provider: each ? providerName(state, scene) : null,
  };

  function apdusOf(state: SessionState, { host }: Scene): string[] {
    const now = state.rounds[round];
    const part = partInTurn(state);
    switch (phase) {
      case "greeting":
      case "greeting-again":
        return greetingApdus(now, host);
      case "introducing":
      case "introducing-again":
        return introductionApdus(now, host);
      case "sharing":
        return inChannel(state, (channel) => sharingApdus(channel, openedInTurn(state)));
      case "proving":
        return inChannel(state, (channel) => provingApdus(channel, part.deposited!));
      case "binding":
      case "binding-again":
        return inChannel(state, (channel) => bindingApdus(channel, openedInTurn(state)));
      case "restoring":
        return inChannel(state, (channel) => restoringApdus(channel, part.released!));
      case "signing":
        return inChannel(state, (channel) => signingApdus(channel, part.asking!.sealedNonce));
      default:
        throw new CodedError("INTERNAL", `Cannot present step: ${phase} is not the device's`);
    }
  }
}

function inChannel<T>(state: SessionState, work: (channel: RecoverChannel) => T): T {
  using channel = channelOf(state.rounds[PHASE_FACTS[state.phase].round]);
  return work(channel);
}

/**
 * Reads the answer to the present step and goes on.
 * @throws {CodedError} `ORCHESTRATOR_DEVICE`, `ORCHESTRATOR_DEVICE_REFUSED`, `ORCHESTRATOR_DEVICE_UNKNOWN`; `ORCHESTRATOR_BATCH`
 *   when the step is of the other kind.
 */
export function consume(state: SessionState, scene: Scene, answer: StepAnswer): SessionState {
  const { actor } = PHASE_FACTS[state.phase];
  if ((actor === "person") !== (answer.kind === "verification")) {
    throw new CodedError(
      "ORCHESTRATOR_BATCH",
      "Cannot take answer: the present step asks for something else",
    );
  }
  const read = answer.kind === "verification"
    ? withPart(state, state.cursor, { sealedVerification: answer.sealedVerification })
    : readApdus(state, scene, answer.answers);
  return proceed({ ...read, step: null });
}

function readApdus(state: SessionState, { host }: Scene, answers: readonly string[]): SessionState {
  const { phase, cursor } = state;
  const { round } = PHASE_FACTS[phase];
  switch (phase) {
    case "greeting":
    case "greeting-again":
      return withRound(state, round, { deviceNonce: toHex(readGreeting(answers)) });
    case "introducing":
      return withRound(state, round, { device: readIntroduction(state.rounds[round], host, answers) });
    case "introducing-again": {
      const device = readIntroduction(state.rounds[round], host, answers);
      if (device.certificate !== state.rounds[0].device!.certificate) throw wrong("this is another device");
      return withRound(state, round, { device });
    }
    case "sharing": {
      const share = inChannel(state, (channel) => readSharing(channel, openedInTurn(state), answers));
      const { commitments, words } = state;
      if (
        (commitments ?? share.commitments) !== share.commitments || (words ?? share.words) !== share.words
      ) {
        throw wrong("it tells providers different commitments or numbers of words");
      }
      const { sealedShare } = share;
      return withPart({ ...state, commitments: share.commitments, words: share.words }, cursor, {
        sealedShare,
      });
    }
    case "proving":
      readEmpty(answers, 2);
      // What was relayed is the vault's now.
      return withPart(state, cursor, { sealedVerification: null });
    case "binding": {
      const confirms = state.flow === "restore";
      const bytes = inChannel(
        state,
        (channel) => readBinding(channel, openedInTurn(state), answers, confirms),
      );
      return confirms ? withPart(state, cursor, { sealedConfirmation: toHex(bytes) }) : state;
    }
    case "binding-again":
      inChannel(state, (channel) => readBinding(channel, openedInTurn(state), answers, true));
      return state;
    case "restoring":
      readEmpty(answers, 4);
      return state;
    case "signing": {
      const sealedSignature = inChannel(state, (channel) => readSigning(channel, answers));
      if (!isSealedSignature(sealedSignature)) throw wrong("the signature has another length");
      return withPart(state, cursor, { sealedSignature });
    }
    default:
      throw new CodedError("INTERNAL", `Cannot read answers: ${phase} is not the device's`);
  }
}

function isSealedSignature(hex: string): boolean {
  const { length } = fromHex(hex);
  return length >= 24 && length <= 88;
}

/** Whether the provider whose turn it is wants a verification that has not come. */
function wantsVerification(state: SessionState): boolean {
  const { round } = PHASE_FACTS[state.phase];
  const { opened, sealedVerification } = partInTurn(state);
  return opened[round]?.verification != null && (round === 1 || sealedVerification === null);
}

/** Goes from a phase that is done to the next one, by the flow's table. */
export function proceed(state: SessionState): SessionState {
  const flow = SESSION_FLOWS[state.flow];
  const row = flow.table[state.phase];
  if (row.verify !== undefined && wantsVerification(state)) return { ...state, phase: row.verify };
  if (row.ready !== undefined) return { ...state, phase: row.ready };
  const isLast = state.cursor === state.parts.length - 1;
  const phase = flow.next(state.phase, isLast ? "last" : "next");
  if (phase === undefined) throw new CodedError("INTERNAL", `Cannot proceed: nothing follows ${state.phase}`);
  return { ...state, phase, cursor: isLast ? 0 : state.cursor + 1 };
}

/** Whether a session may still be given up. */
export function mayFail({ phase }: SessionState): boolean {
  return !CARRIED_THROUGH.includes(phase) && !ENDED.includes(phase);
}

/** Ends a session that cannot go on. */
export function fail(state: SessionState, error: CodedError): SessionState {
  const phase = SESSION_FLOWS[state.flow].next(state.phase, "fail");
  if (phase === undefined) throw error;
  const { next } = error.details;
  return {
    ...state,
    phase,
    step: null,
    failure: {
      code: error.code,
      detail: error.message,
      next: typeof next === "string" ? next : errorRow(error.code).next,
    },
  };
}
