/** Runs a flow: step, event, next state, until an end. */

import { CodedError } from "shared/base/errors.ts";
import type { Flow } from "shared/base/flow.ts";
import type { CardFacts } from "./card_facts.ts";
import { FlowContext, type FlowOptions } from "./flow_context.ts";
import { type FlowEnd, type FlowEvent, FLOWS, type FlowState } from "./flows.ts";
import { FLOW_STEPS, type Step } from "./steps.ts";
import "./errors.ts";

/** Most steps of a run: wrong PINs are bounded by the card, this bounds everything. */
export const FLOW_STEPS_MAX = 64;

/** What a run came to. */
export interface FlowOutcome {
  /** `failed`: an error ended it at `state`. */
  readonly end: FlowEnd | "failed";
  /** The last state before the end. */
  readonly state: FlowState;
  /** Why, unless it is done. */
  readonly error: CodedError | undefined;
  /** The card as it was last seen. */
  readonly card: CardFacts | null;
  /** Whether it holds the wallet's seed; null: not found out. */
  readonly matches: boolean | null;
  readonly taps: number;
  readonly apdus: number;
  readonly milliseconds: number;
}

/** Errors that say that the card went away, or was not there. */
const TORN: readonly string[] = [
  "CARD_REMOVED",
  "CARD_NO_ANSWER",
  "CARD_TIMEOUT",
  "CARD_ABSENT",
  "APDU_NO_STATUS",
];

/** The event that an error is, if it is one; other errors end the run. */
export function eventOf(error: CodedError): FlowEvent | undefined {
  if (TORN.includes(error.code)) return "torn";
  return error.code === "WALLET_CANCELLED" ? "cancelled" : undefined;
}

/** What a card that went away leaves, by flow and state. */
const LEFT: Readonly<Record<string, string>> = {
  "backup.writing":
    "it is still empty, or holds the seed: the next `rk wallet backup` with it finds out and goes on",
  "backup.checking": "the seed is written and not proven yet: the next `rk wallet backup` with it does so",
  "backup.proving": "the seed is not proven yet: the next `rk wallet backup` with it does so",
  "restore.verifyPin": "a try of its PIN may be spent; the wallet is still empty",
  "restore.reading": "the wallet is still empty",
  "manage.acting":
    "it is as it was, or changed: `rk wallet identify` tells, and the old PIN or the new one opens it",
  "manage.checking": "it is changed, and that was not proven yet: `rk wallet identify` tells",
  "manage.blindWipe": "it is as it was, or empty: `rk wallet identify` tells",
};
const LEFT_PIN = "a try of its PIN may be spent; nothing else was changed";
const LEFT_UNTOUCHED = "nothing was changed, neither on the card nor in the wallet";

/**
 * Runs a flow from its first state to an end. Faults that are not coded pass through; secrets are wiped in any case.
 */
export async function runFlow(options: FlowOptions): Promise<FlowOutcome> {
  const begun = performance.now();
  const run = new FlowContext(options);
  const flow = FLOWS[options.flow] as unknown as Flow<FlowState, FlowEvent>;
  const steps: Partial<Record<FlowState, Step>> = FLOW_STEPS[options.flow];
  let state: FlowState = "locked";
  let last: FlowState = state;
  let end: FlowEnd | "failed" = "failed";
  try {
    for (let count = 0;; count++) {
      const step = steps[state];
      if (step === undefined) {
        end = state as FlowEnd;
        break;
      }
      if (count === FLOW_STEPS_MAX) {
        throw new CodedError("WALLET_FLOW", `Cannot end ${options.flow}: too many steps`);
      }
      last = state;
      state = nextState(flow, state, await eventOfStep(flow, state, step, run));
    }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    run.reason = error;
  } finally {
    await run.dispose();
  }
  const left = end === "untouched" || end === "uncertain"
    ? LEFT[`${options.flow}.${last}`] ?? (last === "verifyPin" ? LEFT_PIN : LEFT_UNTOUCHED)
    : undefined;
  return {
    end,
    state: last,
    error: end === "done" ? undefined : left === undefined ? run.reason : torn(run, left),
    card: run.card,
    matches: run.matches,
    taps: run.taps,
    apdus: run.apdus,
    milliseconds: Math.round((performance.now() - begun) * 10) / 10,
  };
}

/** The next state. @throws {CodedError} `WALLET_FLOW` for an event that the table does not have. */
export function nextState(flow: Flow<FlowState, FlowEvent>, state: FlowState, event: FlowEvent): FlowState {
  const next = flow.next(state, event);
  if (next === undefined) throw new CodedError("WALLET_FLOW", `Cannot go on: ${event} in state ${state}`);
  return next;
}

async function eventOfStep(
  flow: Flow<FlowState, FlowEvent>,
  state: FlowState,
  step: Step,
  run: FlowContext,
): Promise<FlowEvent> {
  try {
    return await step(run);
  } catch (error) {
    const event = error instanceof CodedError ? eventOf(error) : undefined;
    if (event === undefined || flow.next(state, event) === undefined) throw error;
    run.reason = error as CodedError;
    return event;
  }
}

function torn(run: FlowContext, left: string): CodedError {
  const absent = run.reason?.code === "CARD_ABSENT";
  return new CodedError(
    "WALLET_TORN",
    `Cannot finish: ${absent ? "no card came" : "the card left the reader too early"}; ${left}`,
    { cause: run.reason?.code },
  );
}
