/**
 * The order of effects of a provider's node: read, let the vault decide, persist with the log entry, then reveal. The node
 * sees sealed bytes and codes; what it answers is what the vault gave it.
 */

import { CodedError } from "shared/base/errors.ts";
import type { ProviderReason } from "shared/log/reasons.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { ProviderStore } from "../transport/store.ts";
import type { StepAnswer, VaultPort, VaultStep } from "../vault/protocol.ts";
import "../provider_errors.ts";

/** Tries of a step when others change the same rows. */
export const STEP_ATTEMPTS = 6;
/** Days that a session is kept: long enough for an orchestrator that comes back to end what it has begun. */
const KEEP_DAYS = 7;
const DAY_MS = 86_400_000;

/** What a node works with. */
export interface ProviderServiceOptions {
  readonly vault: VaultPort;
  readonly store: ProviderStore;
  /** The service's status document as it is now; null when there is none, which locks. */
  readonly status: () => Promise<string | null>;
  /** The identity verifier's signed key set as it is now. */
  readonly keySet: () => Promise<string | null>;
  readonly clock: Clock;
}

/** What a step is answered. */
export type StepOutcome =
  | { readonly kind: "answer"; readonly answer: unknown }
  | { readonly kind: "refuse"; readonly code: string; readonly reasons: readonly ProviderReason[] };

/** The service. */
export class ProviderService {
  readonly #options: ProviderServiceOptions;

  constructor(options: ProviderServiceOptions) {
    this.#options = options;
  }

  /**
   * Takes one step of a session.
   * @throws {CodedError} `PROVIDER_CONFLICT`, `PROVIDER_VAULT`, `PROVIDER_STATE`, and those of database and token.
   */
  async step(step: VaultStep, session: string, body: unknown): Promise<StepOutcome> {
    let behind: "stale" | "set-back" | "conflict" = "conflict";
    for (let attempt = 1; attempt <= STEP_ATTEMPTS; attempt++) {
      const { answer, stored } = await this.#attempt(step, session, body);
      if (answer.outcome.kind === "stale") {
        behind = "stale";
        continue;
      }
      if (stored === "device-replayed") return await this.#refused(step, "device-replayed");
      if (stored === "conflict" || stored === "set-back") {
        behind = stored;
        continue;
      }
      if (answer.outcome.kind === "counted") {
        // The attempt is on record: now it is judged. This is progress, not a try.
        attempt = 0;
        continue;
      }
      const { outcome } = answer;
      return outcome.kind === "answer" ? outcome : { ...outcome, reasons: answer.event?.reasons ?? [] };
    }
    // Others may be in the way for a moment; a row that stays older than what is on record was set back.
    if (behind === "conflict") {
      throw new CodedError("PROVIDER_CONFLICT", "Cannot take step: others were first each time");
    }
    return await this.#refused(step, `backup-${behind}`);
  }

  async #attempt(step: VaultStep, session: string, body: unknown) {
    const { vault, store, status, keySet, clock } = this.#options;
    const sessionRecord = await store.session(session);
    const backupId = step === "open" ? (body as { backupId: string }).backupId : undefined;
    const about = sessionRecord !== null ? { session, record: sessionRecord } : backupId && { backupId };
    const read = about ? await store.backup((await vault.locate(about)).identifier) : null;
    const answer: StepAnswer = await vault.step({
      step,
      session,
      body,
      status: await status(),
      keySet: await keySet(),
      sessionRecord,
      backup: read,
    });
    const forgetDay = Math.floor(clock.now() / DAY_MS) + KEEP_DAYS;
    const stored = answer.event === null && answer.session === null
      ? "stored" as const
      : await store.store(session, answer, read, forgetDay);
    return { answer, stored };
  }

  async #refused(step: VaultStep, reason: ProviderReason): Promise<StepOutcome> {
    await this.#options.store.note({ event: step, result: "refused", reasons: [reason], tag: null });
    return { kind: "refuse", code: "PROVIDER_REFUSED", reasons: [reason] };
  }
}
