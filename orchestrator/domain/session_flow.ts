/**
 * The states of a session, as data: what follows what, who acts in each, and from where there is no way back.
 *
 * A backup takes effect when `committing` is stored, a deletion when `deleting` is: from then on it is only carried through.
 * Before, every failure leads to `abandoning`, which takes back what providers have, and to `failed`.
 */

import { type Flow, flow } from "shared/base/flow.ts";
import type { CompanionFlow } from "shared/protocol/wire/recover_session.ts";

/** Where a session is. `-again`: of the second round of a restore, with new channels. */
export const PHASES = [
  "greeting",
  "certifying",
  "introducing",
  "opening",
  "sharing",
  "verifying",
  "depositing",
  "proving",
  "committing",
  "binding",
  "confirming",
  "greeting-again",
  "certifying-again",
  "introducing-again",
  "opening-again",
  "binding-again",
  "verifying-again",
  "releasing",
  "restoring",
  "asking",
  "signing",
  "deleting",
  "abandoning",
  "failed",
  "done",
] as const;
/** One of {@link PHASES}. */
export type Phase = (typeof PHASES)[number];

/**
 * `ready`: the act is done. `verify`: this provider wants an identity verification. `next`, `last`: another provider follows,
 * or none. `fail`: it cannot go on.
 */
export type SessionEvent = "ready" | "verify" | "next" | "last" | "fail";

/** Who acts: the device (through the companion), the person, or the orchestrator itself. */
export type Actor = "device" | "person" | "orchestrator" | "nobody";

/** What is known of a phase. */
export interface PhaseFacts {
  readonly actor: Actor;
  /** Which device session it belongs to. */
  readonly round: 0 | 1;
  /** Whether it is done for one provider after the other. */
  readonly each: boolean;
}

const facts = (actor: Actor, each = false, round: 0 | 1 = 0): PhaseFacts => ({ actor, each, round });

/** Facts of each phase. */
export const PHASE_FACTS: Readonly<Record<Phase, PhaseFacts>> = {
  greeting: facts("device"),
  certifying: facts("orchestrator"),
  introducing: facts("device"),
  opening: facts("orchestrator"),
  sharing: facts("device", true),
  verifying: facts("person", true),
  depositing: facts("orchestrator", true),
  proving: facts("device", true),
  committing: facts("orchestrator"),
  binding: facts("device", true),
  confirming: facts("orchestrator", true),
  "greeting-again": facts("device", false, 1),
  "certifying-again": facts("orchestrator", false, 1),
  "introducing-again": facts("device", false, 1),
  "opening-again": facts("orchestrator", false, 1),
  "binding-again": facts("device", true, 1),
  "verifying-again": facts("person", true, 1),
  releasing: facts("orchestrator", true, 1),
  restoring: facts("device", true, 1),
  asking: facts("orchestrator", true),
  signing: facts("device", true),
  deleting: facts("orchestrator"),
  abandoning: facts("orchestrator"),
  failed: facts("nobody"),
  done: facts("nobody"),
};

/** Phases from which a session is only carried through. */
export const CARRIED_THROUGH: readonly Phase[] = ["committing", "deleting", "abandoning"];
/** Phases after which nothing happens. */
export const ENDED: readonly Phase[] = ["failed", "done"];

type Table = Partial<Record<Phase, Partial<Record<SessionEvent, Phase>>>>;

/** A table with the way out: `fail` before any provider was asked ends the session, after that it is taken back first. */
function sessionFlow(table: Table): Flow<Phase, SessionEvent> {
  const early: readonly Phase[] = ["greeting", "certifying", "introducing"];
  const rows = PHASES.map((phase) => {
    const row = table[phase] ?? {};
    if (phase === "abandoning") return [phase, { ready: "failed" }];
    if (table[phase] === undefined || CARRIED_THROUGH.includes(phase) || ENDED.includes(phase)) {
      return [phase, row];
    }
    return [phase, { ...row, fail: early.includes(phase) ? "failed" : "abandoning" }];
  });
  return flow<Phase, SessionEvent>(Object.fromEntries(rows));
}

const CHANNEL: Table = {
  greeting: { ready: "certifying" },
  certifying: { ready: "introducing" },
  introducing: { ready: "opening" },
};

/** What follows what in each flow. */
export const SESSION_FLOWS: Readonly<Record<CompanionFlow, Flow<Phase, SessionEvent>>> = {
  backup: sessionFlow({
    ...CHANNEL,
    opening: { ready: "sharing" },
    sharing: { ready: "depositing", verify: "verifying" },
    verifying: { ready: "depositing" },
    depositing: { ready: "proving" },
    proving: { next: "sharing", last: "committing" },
    committing: { ready: "done" },
  }),
  restore: sessionFlow({
    ...CHANNEL,
    opening: { ready: "binding" },
    binding: { ready: "confirming" },
    confirming: { verify: "verifying", next: "binding", last: "greeting-again" },
    verifying: { next: "binding", last: "greeting-again" },
    "greeting-again": { ready: "certifying-again" },
    "certifying-again": { ready: "introducing-again" },
    "introducing-again": { ready: "opening-again" },
    "opening-again": { ready: "binding-again" },
    "binding-again": { ready: "releasing", verify: "verifying-again" },
    "verifying-again": { ready: "releasing" },
    releasing: { ready: "restoring" },
    restoring: { next: "binding-again", last: "done" },
  }),
  delete: sessionFlow({
    ...CHANNEL,
    opening: { ready: "binding" },
    binding: { ready: "asking", verify: "verifying" },
    verifying: { ready: "asking" },
    asking: { ready: "signing" },
    signing: { next: "binding", last: "deleting" },
    deleting: { ready: "done" },
  }),
};
