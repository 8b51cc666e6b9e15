/**
 * The log of a gateway that is replaced in place. One process at a time writes it: the one that takes over asks for it when its proof is
 * done, the other lets it go and goes on to serve. If the new one fails after all, the old one takes it again.
 */

import { CodedError, codeOf } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { EventLog, EventLogPage } from "shared/log/writer/event_log.ts";
import "../transport/errors.ts";

/** What is told meanwhile and kept at most. */
const MAX_WAITING = 1_000;
/** How often the file is tried, milliseconds. */
const TRY_MS = 50;
/** Longest wait for the file, milliseconds. */
const PATIENCE_MS = 20_000;

/** How to come by the log. */
export interface HandedLogSource {
  readonly self: EventLog["self"];
  readonly page: EventLogPage;
  /** Opens it. @throws {CodedError} `LOG_FILE_LOCKED` while another process has it. */
  readonly open: () => Promise<EventLog>;
  /** Asks the process that has it to let it go. */
  readonly ask: () => void;
  readonly logger: Logger;
}

/** A log that comes from another process, and can be let go. */
export class HandedEventLog implements EventLog {
  #log: EventLog | undefined;
  #taking: Promise<EventLog> | undefined;
  #released = false;
  #waiting: Parameters<EventLog["tell"]>[] = [];
  #dropped = 0;

  /** @param log When it is open already. */
  constructor(readonly source: HandedLogSource, log?: EventLog) {
    this.#log = log;
  }

  get self(): EventLog["self"] {
    return this.source.self;
  }

  get page(): EventLogPage {
    return this.source.page;
  }

  /** Whether another process has it. */
  get isReleased(): boolean {
    return this.#released;
  }

  /** Without the log: what is told waits, so that no request fails for it. */
  get writable(): boolean {
    return this.#log?.writable ?? true;
  }

  /**
   * Writes an entry; the first one of a process that takes over waits for the log.
   * @throws {CodedError} `GATEWAY_LOG_HANDED` when it was let go, `LOG_FILE_LOCKED` when it does not come.
   */
  async record(...entry: Parameters<EventLog["record"]>): Promise<void> {
    if (this.#released) {
      throw new CodedError("GATEWAY_LOG_HANDED", "Cannot enter: another process has the log");
    }
    await (this.#log ?? await this.take()).record(...entry);
  }

  /** Counts; what is told while the log is another's waits until it comes back. */
  tell(...entry: Parameters<EventLog["tell"]>): void {
    if (this.#log !== undefined) this.#log.tell(...entry);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(entry);
    else this.#dropped++;
  }

  /** Lets the log go: resolves when another process can open it. */
  async release(): Promise<void> {
    const log = this.#log;
    if (log === undefined) return;
    await log.record("gateway.log-released", { actor: this.self });
    this.#released = true;
    this.#log = undefined;
    await log.stop();
  }

  /** Takes the log, or takes it again. @throws {CodedError} `LOG_FILE_LOCKED` when nobody lets it go. */
  take(): Promise<EventLog> {
    return this.#taking ??= this.#take().finally(() => this.#taking = undefined);
  }

  async #take(): Promise<EventLog> {
    if (!this.#released) this.source.ask();
    const until = performance.now() + PATIENCE_MS;
    while (true) {
      try {
        const log = this.#log = await this.source.open();
        this.#released = false;
        for (const entry of this.#waiting.splice(0)) log.tell(...entry);
        return log;
      } catch (error) {
        if (codeOf(error) !== "LOG_FILE_LOCKED" || performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, TRY_MS));
      }
    }
  }

  /** Ends. What was told without the log is lost to it; the access log has it. */
  async stop(): Promise<void> {
    await this.#log?.stop();
    const entries = this.#waiting.length + this.#dropped;
    if (this.#log === undefined && entries > 0) {
      this.source.logger.warning("log-released", { notEntered: entries });
    }
    this.#log = undefined;
    this.#released = true;
  }
}
