/**
 * The update service: between wallets and the vault. It keeps authorizations, enters in the log who updates what before any
 * command leaves, and holds no key.
 */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { EventFacts } from "shared/log/recorder.ts";
import type { EventName } from "shared/log/events.ts";
import type {
  BeginUpdate,
  ResumeUpdate,
  UpdateChallengeAnswer,
  UpdateStep,
} from "shared/protocol/wire/update.ts";
import type { UpgradeStore } from "../../transport/update_store/port.ts";
import "shared/protocol/wire/update_errors.ts";
import type { UpdateVault, VaultStep } from "./vault_port.ts";

/** What the service is made of. */
export interface UpdateServiceOptions {
  readonly vault: UpdateVault;
  readonly store: UpgradeStore;
  /** The issuer's signed list of revoked cards. @throws {CodedError} `UPDATE_REVOCATIONS`. */
  readonly revocations: () => Promise<string>;
  /** Enters an event durably. When it fails, nothing is done. */
  readonly record: (event: EventName, facts: EventFacts) => Promise<unknown>;
  /** Told of each step that ended or was refused, for metrics. */
  readonly onOutcome?: (outcome: string) => void;
}

/** The service. `client`: identity of the wallet's certificate; an update is its alone. */
export class UpdateService {
  readonly #options: UpdateServiceOptions;

  constructor(options: UpdateServiceOptions) {
    this.#options = options;
  }

  /** A host challenge. */
  challenge(client: string, update: string): Promise<UpdateChallengeAnswer> {
    return this.#options.vault.challenge(own(client, update));
  }

  /** A new upgrade. */
  async begin(client: string, update: string, request: BeginUpdate): Promise<UpdateStep> {
    const revocations = await this.#options.revocations();
    return await this.#told(
      client,
      update,
      () => this.#options.vault.begin(own(client, update), request, revocations),
    );
  }

  /** A card in the middle of its upgrade. */
  async resume(client: string, update: string, request: ResumeUpdate): Promise<UpdateStep> {
    return await this.#told(client, update, () => this.#options.vault.resume(own(client, update), request));
  }

  /** The next commands. */
  async step(client: string, update: string, step: number, answers: readonly string[]): Promise<UpdateStep> {
    const { vault, store } = this.#options;
    const key = own(client, update);
    return await this.#told(client, update, async () => {
      const answer = await vault.step(key, step, answers, null);
      if (answer.wants === null) return answer;
      const authorization = await store.find(answer.wants);
      if (authorization === undefined) {
        throw new CodedError("UPDATE_AUTHORIZATION", "Cannot go on: this card's upgrade was not begun here");
      }
      return await vault.step(key, step, answers, authorization);
    });
  }

  /** Stores and enters what has to be, then gives the wallet its part of the step. */
  async #told(client: string, update: string, work: () => Promise<VaultStep>): Promise<UpdateStep> {
    const { store, record, onOutcome } = this.#options;
    const actor = { kind: "client", identifier: client } as const;
    let step: VaultStep;
    try {
      step = await work();
      if (step.card !== null) {
        if (!await store.keep({ ...step.card, authorization: step.authorization! })) {
          throw new CodedError(
            "UPDATE_CARD_OTHER",
            "Cannot update card: the one that proved itself and the one that answers now are not one card",
          );
        }
        await record("update.authorized", {
          actor,
          subject: { kind: "card", identifier: step.card.serial },
          outcome: "intended",
        });
      }
    } catch (error) {
      onOutcome?.(codeOf(error));
      const refused = error instanceof CodedError && !error.row.retry;
      await record("update.refused", {
        actor,
        outcome: refused ? "refused" : "failed",
        reason: codeOf(error),
      });
      throw error;
    }
    if (step.end !== null) {
      onOutcome?.(step.end);
      await record("update.ended", { actor, reason: step.end });
    }
    const { card: _card, wants: _wants, ...told } = step;
    return { ...told, update };
  }
}

/** An update is its client's: another one's is not there. */
function own(client: string, update: string): string {
  return `${client} ${update}`;
}
