/**
 * Cosignatures of several witnesses for one log: asked at once, counted to a policy of k of n, tried again with growing pauses.
 * `offer` never waits, so that a log goes on writing while witnesses are away; `collect` waits for the policy.
 */

import { CodedError, codeOf, defineErrors } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { CheckpointToCosign, CosignClient, VerifiedCosignature } from "./cosign_client.ts";

/** Policy and pauses. */
export interface CollectorOptions {
  /** How many witnesses have to cosign, 0 to all. */
  readonly quorum: number;
  /** First pause before a witness is asked again, in milliseconds; it doubles each time. */
  readonly firstPauseMs: number;
  /** Longest pause, in milliseconds. */
  readonly longestPauseMs: number;
  /**
   * Hears of what trying again does not mend (`WITNESS_OTHER_ROOT`, `WITNESS_AHEAD`, `WITNESS_BEHIND`): two histories, or one
   * that went back. What to lock then is the caller's matter.
   */
  readonly onAlarm?: (witness: string, code: string) => void;
}

/** What was collected for a checkpoint. */
export interface CollectedCosignatures {
  readonly checkpoint: CheckpointToCosign;
  readonly cosignatures: readonly VerifiedCosignature[];
  /** Code by witness, of those that gave none. */
  readonly failed: ReadonlyMap<string, string>;
  /** Whether the policy is fulfilled. */
  readonly fulfilled: boolean;
}

/** Errors that trying again does not mend: people have to look. */
const FINAL = new Set(["WITNESS_OTHER_ROOT", "WITNESS_AHEAD", "WITNESS_BEHIND"]);

/** Collects cosignatures. */
export class CosignatureCollector {
  readonly #clients: readonly CosignClient[];
  readonly #options: CollectorOptions;
  readonly #log: Logger;
  readonly #publish: (collected: CollectedCosignatures) => Promise<void> | void;
  readonly #stopped = new AbortController();
  #offered: CheckpointToCosign | undefined;
  #working: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /**
   * @param publish is given what `offer` led to, each time there is more of it; it publishes the checkpoint with the cosignatures.
   * @throws {CodedError} `WITNESS_POLICY` when more are asked for than there are.
   */
  constructor(
    clients: readonly CosignClient[],
    options: CollectorOptions,
    log: Logger,
    publish: (collected: CollectedCosignatures) => Promise<void> | void = () => {},
  ) {
    if (!Number.isSafeInteger(options.quorum) || options.quorum < 0 || options.quorum > clients.length) {
      throw new CodedError(
        "WITNESS_POLICY",
        `Cannot ask for ${options.quorum} cosignatures: ${clients.length} witnesses are configured`,
      );
    }
    this.#clients = clients;
    this.#options = options;
    this.#log = log;
    this.#publish = publish;
  }

  /** Asks every witness once, at the same time, and waits for all of them: at most their deadline. Never throws for a witness. */
  async collect(checkpoint: CheckpointToCosign): Promise<CollectedCosignatures> {
    return await this.#ask(checkpoint, new Map());
  }

  /** As `collect`, for a log that is configured to wait. @throws {CodedError} `WITNESS_QUORUM`. */
  async require(checkpoint: CheckpointToCosign): Promise<CollectedCosignatures> {
    const collected = await this.collect(checkpoint);
    if (collected.fulfilled) return collected;
    const count = collected.cosignatures.length;
    throw new CodedError(
      "WITNESS_QUORUM",
      `Cannot publish checkpoint: ${count} of ${this.#options.quorum} witnesses have cosigned`,
      { failed: Object.fromEntries(collected.failed) },
    );
  }

  /** Hands over the newest checkpoint and returns at once. An older one that still waits is given up for it. */
  offer(checkpoint: CheckpointToCosign): void {
    if (this.#stopped.signal.aborted) return;
    this.#offered = checkpoint;
    this.#wake?.();
    this.#working ??= this.#work().finally(() => this.#working = undefined);
  }

  /** Resolves when nothing that was offered is left to be done. */
  async idle(): Promise<void> {
    await this.#working;
  }

  /** Gives up what is left. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake?.();
    await this.#working;
  }

  async #work(): Promise<void> {
    let pauseMs = this.#options.firstPauseMs;
    let given = new Map<string, VerifiedCosignature>();
    let current: CheckpointToCosign | undefined;
    while (this.#offered !== undefined && !this.#stopped.signal.aborted) {
      const checkpoint: CheckpointToCosign = this.#offered;
      if (checkpoint !== current) given = new Map();
      current = checkpoint;
      const before = given.size;
      const collected = await this.#ask(checkpoint, given);
      if (given.size > before) {
        pauseMs = this.#options.firstPauseMs;
        await this.#publishSafely(collected);
      }
      const again = [...collected.failed.values()].some((code) => !FINAL.has(code));
      if (this.#offered !== checkpoint) continue;
      if (!again) {
        this.#offered = undefined;
        return;
      }
      await this.#pause(pauseMs);
      pauseMs = Math.min(pauseMs * 2, this.#options.longestPauseMs);
    }
  }

  async #ask(
    checkpoint: CheckpointToCosign,
    given: Map<string, VerifiedCosignature>,
  ): Promise<CollectedCosignatures> {
    const failed = new Map<string, string>();
    await Promise.all(
      this.#clients.filter(({ name }) => !given.has(name)).map(async (client) => {
        try {
          given.set(client.name, await client.cosign(checkpoint));
        } catch (error) {
          const code = codeOf(error);
          failed.set(client.name, code);
          this.#log[FINAL.has(code) ? "error" : "warning"]("witness.no-cosignature", {
            witness: client.name,
            size: checkpoint.size,
            code,
            error,
          });
          if (FINAL.has(code)) this.#options.onAlarm?.(client.name, code);
        }
      }),
    );
    const cosignatures = [...given.values()];
    return { checkpoint, cosignatures, failed, fulfilled: cosignatures.length >= this.#options.quorum };
  }

  async #publishSafely(collected: CollectedCosignatures): Promise<void> {
    try {
      await this.#publish(collected);
    } catch (error) {
      this.#log.error("witness.not-published", { size: collected.checkpoint.size, error });
    }
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopped.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

defineErrors({
  WITNESS_POLICY: {
    fault: "configuration",
    retry: false,
    next: "Ask for at most as many cosignatures as there are witnesses.",
  },
  WITNESS_QUORUM: {
    fault: "peer",
    retry: true,
    http: 503,
    next:
      "Witnesses are away or refuse: look at their codes. A log that does not wait for them goes on meanwhile.",
  },
});
