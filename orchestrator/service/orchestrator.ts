/**
 * Recover sessions: read, decide, persist, then reveal. Every answer to a companion stands in the store before it leaves, so that
 * a crash at any point loses nothing and repeats nothing: the next request, or the sweep, goes on from what was stored.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { sameIdentity } from "shared/protocol/recover/identity.ts";
import type { CreateRecoverSession, RecoverSessionAnswer } from "shared/protocol/wire/recover_session.ts";
import { newSession, type SessionState } from "../domain/session.ts";
import { CARRIED_THROUGH, PHASE_FACTS } from "../domain/session_flow.ts";
import { consume, fail, mayFail, present, type StepAnswer } from "../domain/steps.ts";
import "../domain/errors.ts";
import "./provider_client.ts";
import { carryOut } from "./effects.ts";
import type { OrchestratorContext } from "./ports.ts";
import { SessionRepository, type StoredSession } from "./session_repository.ts";

/** The orchestrator. */
export class Orchestrator {
  readonly #context: OrchestratorContext;
  readonly #sessions: SessionRepository;

  constructor(context: OrchestratorContext) {
    this.#context = context;
    this.#sessions = new SessionRepository(context.store);
  }

  /**
   * Begins a session; the same request again shows it. @param client the name in the companion's certificate.
   * @throws {CodedError} `ORCHESTRATOR_SESSION_OTHER`.
   */
  async create(client: string, request: CreateRecoverSession): Promise<RecoverSessionAnswer> {
    const { scene, random } = this.#context;
    const known = await this.#sessions.load(request.session);
    if (known !== undefined) return await this.#again(known, client, request);
    const state = present(newSession(request, client, random), scene);
    if (await this.#sessions.insert(state)) return answerOf(state);
    return await this.#again((await this.#sessions.load(request.session))!, client, request);
  }

  /** Shows the present step. @throws {CodedError} `ORCHESTRATOR_SESSION_UNKNOWN`, `ORCHESTRATOR_PROVIDERS_AWAY`. */
  async show(client: string, session: string): Promise<RecoverSessionAnswer> {
    return answerOf(await this.#drive(await this.#load(client, session)));
  }

  /**
   * Takes the answer to step `batch`. The same answer to the step before shows the present one again; any to an earlier step of a
   * session that has failed shows why it did.
   * @throws {CodedError} `ORCHESTRATOR_BATCH` for another number, or another answer than the one that counted;
   *   `ORCHESTRATOR_PROVIDERS_AWAY`, `ORCHESTRATOR_BUSY`: the same request again.
   */
  async answer(
    client: string,
    session: string,
    batch: number,
    answer: StepAnswer,
  ): Promise<RecoverSessionAnswer> {
    const stored = await this.#load(client, session);
    const { state } = stored;
    const digest = toHex(sha256(toUtf8(JSON.stringify(answer))));
    const answered = state.step === null ? state.batch : state.batch - 1;
    if (batch === answered && digest === state.answerDigest) return answerOf(await this.#drive(stored));
    // Given up while its companion could not reach us: it is told why, not that its answer came too late.
    if (state.phase === "failed" && state.step !== null && batch < state.batch) return answerOf(state);
    if (state.step === null || batch !== state.batch || PHASE_FACTS[state.phase].actor === "nobody") {
      throw new CodedError(
        "ORCHESTRATOR_BATCH",
        `Cannot take answer to step ${batch}: step ${state.batch} is present`,
      );
    }
    const counted = { ...state, answerDigest: digest };
    const next = this.#orFail(counted, () => consume(counted, this.#context.scene, answer));
    return answerOf(await this.#drive(await this.#save(next, stored.version)));
  }

  /** Gives a session up, unless it is being carried through already. */
  async giveUp(client: string, session: string): Promise<RecoverSessionAnswer> {
    return answerOf(await this.#giveUp(await this.#load(client, session), "its companion gave it up"));
  }

  /**
   * Takes up what was left: sessions that must be carried through, and those that nobody answers any more. @returns how many
   * have come to their end.
   */
  async sweep(): Promise<number> {
    const { clock, log, times } = this.#context;
    const now = clock.now();
    const old = new Set(await this.#sessions.unfinished(now - times.sessionMs));
    let ended = 0;
    for (const session of await this.#sessions.unfinished(now - times.carryThroughMs)) {
      try {
        const stored = await this.#sessions.load(session);
        if (stored === undefined) continue;
        const carried = CARRIED_THROUGH.includes(stored.state.phase);
        if (!carried && !old.has(session)) continue;
        await (carried ? this.#drive(stored) : this.#giveUp(stored, "nobody answered it in time"));
        ended++;
      } catch (error) {
        log.warning("recover.sweep-failed", { session, error });
      }
    }
    return ended;
  }

  async #giveUp(stored: StoredSession, why: string): Promise<SessionState> {
    if (!mayFail(stored.state)) return await this.#drive(stored);
    const error = new CodedError("ORCHESTRATOR_GIVEN_UP", `Cannot go on: ${why}`);
    return await this.#drive(await this.#save(fail(stored.state, error), stored.version));
  }

  async #again(
    stored: StoredSession,
    client: string,
    request: CreateRecoverSession,
  ): Promise<RecoverSessionAnswer> {
    const { state } = stored;
    const same = state.client === client && state.flow === request.flow &&
      (request.flow === "backup"
        ? sameIdentity(state.identity!, request.identity)
        : state.backupId === request.backupId);
    if (!same) {
      throw new CodedError("ORCHESTRATOR_SESSION_OTHER", "Cannot begin session: its identifier is taken");
    }
    return answerOf(await this.#drive(stored));
  }

  async #load(client: string, session: string): Promise<StoredSession> {
    const stored = await this.#sessions.load(session);
    if (stored === undefined || stored.state.client !== client) {
      throw new CodedError(
        "ORCHESTRATOR_SESSION_UNKNOWN",
        "Cannot go on: there is no such session of this client",
      );
    }
    return stored;
  }

  async #save(state: SessionState, version: number): Promise<StoredSession> {
    if (!await this.#sessions.save(state, version)) {
      throw new CodedError("ORCHESTRATOR_BUSY", "Cannot go on: another request works on this session");
    }
    return { state, version: version + 1 };
  }

  /** Works until a step is present, storing each phase before the next. */
  async #drive(stored: StoredSession): Promise<SessionState> {
    let current = stored;
    while (current.state.step === null) {
      const { state, version } = current;
      const next = PHASE_FACTS[state.phase].actor === "orchestrator"
        ? await this.#carryOut(state)
        : this.#orFail(state, () => present(state, this.#context.scene));
      current = await this.#save(next, version);
    }
    return current.state;
  }

  async #carryOut(state: SessionState): Promise<SessionState> {
    try {
      return await carryOut(this.#context, state);
    } catch (error) {
      return this.#failed(state, error);
    }
  }

  #orFail(state: SessionState, work: () => SessionState): SessionState {
    try {
      return work();
    } catch (error) {
      return this.#failed(state, error);
    }
  }

  /** The session's end, when the fault is one that another try does not mend and it may still be given up. */
  #failed(state: SessionState, error: unknown): SessionState {
    const { session, phase } = state;
    if (!(error instanceof CodedError) || error.row.retry || error.code === "ORCHESTRATOR_BATCH") throw error;
    if (!mayFail(state)) {
      // Providers have promised: this is theirs to mend, and the sweep asks again.
      this.#context.log.error("recover.not-carried-through", { session, phase, error });
      throw new CodedError("ORCHESTRATOR_PROVIDERS_AWAY", error.message, error.details);
    }
    this.#context.log.warning("recover.failed", { session, phase, error });
    return fail(state, error);
  }
}

function answerOf({ session, flow, backupId, batch, step }: SessionState): RecoverSessionAnswer {
  return { session, flow, backupId, batch, step: step! };
}
