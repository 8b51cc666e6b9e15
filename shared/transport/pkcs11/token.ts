/** One token, found by its label: its pool of sessions, the login, and what is done when it dies. */

import type { Handle, PKCS11 } from "pkcs11js";
import { CodedError } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import type { Clock } from "../clock.ts";
import { readSecretFile } from "../secret_file.ts";
import { CKF, CKR, CKU } from "./constants.ts";
import { failureKind, returnValue, toCodedError } from "./failure.ts";
import type { Pkcs11Module } from "./module.ts";
import "../hsm.ts";

/** First and longest pause between two attempts to reopen a dead token, in milliseconds. */
export const REOPEN_FIRST_MS = 100;
/** See {@link REOPEN_FIRST_MS}. */
export const REOPEN_MAX_MS = 5_000;

/** Facts of an open token. */
export interface TokenFacts {
  readonly slot: Handle;
  readonly model: string;
  readonly serial: string;
  /** CKM_ values that the token offers. */
  readonly mechanisms: ReadonlySet<number>;
}

/** What an operation gets: a session of its own while it runs, and a memory for handles of this opening. */
export interface SessionContext {
  readonly binding: PKCS11;
  readonly session: Handle;
  readonly facts: TokenFacts;
  /** Emptied when the token is reopened. */
  readonly cache: Map<string, unknown>;
}

interface Session {
  readonly handle: Handle;
  readonly epoch: number;
}

/** A token that reopens itself. */
export class Token {
  readonly #module: Pkcs11Module;
  readonly #label: string;
  readonly #pinFile: string;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  #facts: TokenFacts | undefined;
  #cache = new Map<string, unknown>();
  #idle: Session[] = [];
  /** Counts openings; sessions of an earlier one are thrown away. */
  #epoch = 0;
  #generation = -1;
  #failures = 0;
  #nextAttemptAt = 0;
  #pinRefused: CodedError | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(
    module: Pkcs11Module,
    options: { label: string; pinFile: string; clock: Clock; logger?: Logger },
  ) {
    this.#module = module;
    this.#label = options.label;
    this.#pinFile = options.pinFile;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /**
   * Runs an operation on a session of its own. A dead session or token is reopened; `repeatable` operations are then
   * run once more, the others fail with `HSM_UNAVAILABLE` although they may have been carried out.
   * @param action what it is for, for messages: "sign".
   */
  async run<T>(
    action: string,
    repeatable: boolean,
    operation: (context: SessionContext) => T | Promise<T>,
    readWrite = false,
  ): Promise<T> {
    await this.ensureOpen();
    const epoch = this.#epoch;
    const generation = this.#generation;
    try {
      return await this.#attempt(operation, readWrite);
    } catch (error) {
      const kind = failureKind(error);
      if (kind !== "session" && kind !== "token") throw toCodedError(error, action);
      this.#logger?.warning("hsm.lost", {
        action,
        token: this.#label,
        kind,
        returned: returnValue(error),
      });
      await this.#lost(kind, epoch, generation);
      await this.ensureOpen();
      if (!repeatable) throw toCodedError(error, action);
    }
    try {
      return await this.#attempt(operation, readWrite);
    } catch (error) {
      throw toCodedError(error, action);
    }
  }

  async #attempt<T>(
    operation: (context: SessionContext) => T | Promise<T>,
    readWrite: boolean,
  ): Promise<T> {
    const facts = this.#facts;
    if (!facts) throw new CodedError("HSM_UNAVAILABLE", `Cannot use token ${this.#label}: it is gone`);
    const cache = this.#cache;
    const epoch = this.#epoch;
    const result = await this.#module.call(async (binding) => {
      const pooled = readWrite ? undefined : this.#takeIdle();
      const session = pooled ?? { handle: this.#openSession(binding, facts.slot, readWrite), epoch };
      let usable = false;
      try {
        const value = await operation({ binding, session: session.handle, facts, cache });
        usable = true;
        return value;
      } catch (error) {
        usable = error instanceof CodedError; // our own refusal: the session is in order
        throw error;
      } finally {
        if (usable && !readWrite && session.epoch === this.#epoch) this.#idle.push(session);
        else closeSession(binding, session.handle);
      }
    });
    this.#failures = 0;
    return result;
  }

  #takeIdle(): Session | undefined {
    return this.#idle.pop();
  }

  #openSession(binding: PKCS11, slot: Handle, readWrite: boolean): Handle {
    return binding.C_OpenSession(slot, CKF.SERIAL_SESSION | (readWrite ? CKF.RW_SESSION : 0));
  }

  /** After a failure: forgets the sessions, and for a dead token starts the library again, each once for all callers. */
  async #lost(kind: "session" | "token", epoch: number, generation: number): Promise<void> {
    if (epoch === this.#epoch) this.#forget();
    if (kind === "session") return;
    if (generation !== this.#module.generation) return; // somebody else did
    const now = this.#clock.monotonic();
    if (now < this.#nextAttemptAt) throw this.#gone();
    this.#backOff(now);
    await this.#module.restart(generation).catch((error) => {
      throw toCodedError(error, `reopen token ${this.#label}`);
    });
  }

  #forget(): void {
    this.#facts = undefined;
    this.#cache = new Map();
    this.#idle = [];
    this.#epoch++;
  }

  #backOff(now: number): void {
    const pause = Math.min(REOPEN_MAX_MS, REOPEN_FIRST_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#nextAttemptAt = now + pause;
  }

  #gone(): CodedError {
    return new CodedError(
      "HSM_UNAVAILABLE",
      `Cannot use token ${this.#label}: it is gone, and is not tried yet`,
      {
        retryAfterMs: Math.max(0, Math.ceil(this.#nextAttemptAt - this.#clock.monotonic())),
      },
    );
  }

  /**
   * Opens and logs in where that is needed.
   * @throws {CodedError} `HSM_UNAVAILABLE`, `HSM_TOKEN`, `HSM_PIN`, `SECRET_FILE_MISSING`, `SECRET_FILE_OPEN`,
   *   `SECRET_FILE_CONTENT`.
   */
  async ensureOpen(): Promise<void> {
    if (this.#closed) throw new CodedError("HSM_UNAVAILABLE", "Cannot use token: it was closed");
    if (this.#pinRefused) throw this.#pinRefused;
    if (this.#facts && this.#generation === this.#module.generation) return;
    this.#opening ??= this.#open().finally(() => this.#opening = undefined);
    await this.#opening;
  }

  async #open(): Promise<void> {
    const reopened = this.#epoch > 0;
    if (this.#facts) this.#forget(); // another user of the library started it again
    const generation = this.#module.generation;
    try {
      await this.#openOnce();
    } catch (error) {
      if (!isGone(error)) throw this.#remember(error);
      const now = this.#clock.monotonic();
      // Nothing to do but wait when the library was started again just now, or may not yet be.
      if (now < this.#nextAttemptAt) throw toCodedError(error, `open token ${this.#label}`);
      this.#backOff(now);
      try {
        await this.#module.restart(generation);
        await this.#openOnce();
      } catch (again) {
        throw this.#remember(again);
      }
    }
    if (reopened) this.#logger?.info("hsm.reopened", { token: this.#label });
  }

  #remember(error: unknown): CodedError {
    const coded = toCodedError(error, `open token ${this.#label}`);
    // A token locks after a few wrong PINs: this process never tries again.
    if (coded.code === "HSM_PIN") this.#pinRefused = coded;
    return coded;
  }

  async #openOnce(): Promise<void> {
    const opened = await this.#module.call(async (binding) => {
      const matching = this.#module.tokens(binding).filter((token) => token.label === this.#label);
      if (matching.length > 1) {
        throw new CodedError(
          "HSM_TOKEN",
          `Cannot open token ${this.#label}: ${matching.length} have this label`,
        );
      }
      const [token] = matching;
      if (!token) {
        throw new CodedError("HSM_UNAVAILABLE", `Cannot open token ${this.#label}: no slot holds it`, {
          absent: true,
        });
      }
      if ((token.flags & (CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED)) !== 0) {
        throw new CodedError(
          "HSM_PIN",
          `Cannot log in to token ${this.#label}: its PIN is locked, or has one try left, which this program leaves to you`,
        );
      }
      const mechanisms = new Set(binding.C_GetMechanismList(token.slot));
      const session = this.#openSession(binding, token.slot, false);
      try {
        await this.#login(session);
      } catch (error) {
        closeSession(binding, session);
        throw error;
      }
      const facts: TokenFacts = { slot: token.slot, model: token.model, serial: token.serial, mechanisms };
      return { facts, session, generation: this.#module.generation };
    });
    this.#facts = opened.facts;
    this.#generation = opened.generation;
    this.#idle.push({ handle: opened.session, epoch: this.#epoch });
  }

  async #login(session: Handle): Promise<void> {
    using pin = readSecretFile(this.#pinFile);
    try {
      await this.#module.login(session, CKU.USER, pin);
    } catch (error) {
      // The login is the process's: another connection to this token has done it.
      if (returnValue(error) !== CKR.USER_ALREADY_LOGGED_IN) throw error;
    }
  }

  /** Closes the sessions, and with the last one the login. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#opening?.catch(() => {});
    const sessions = this.#idle;
    const current = this.#generation === this.#module.generation;
    this.#forget();
    if (current) {
      await this.#module.call((binding) => {
        for (const session of sessions) closeSession(binding, session.handle);
      });
    }
  }
}

/** Whether the token, rather than the PIN or the configuration, is what is wrong. */
function isGone(error: unknown): boolean {
  if (error instanceof CodedError) return error.details.absent === true;
  const kind = failureKind(error);
  return kind === "token" || kind === "session";
}

function closeSession(binding: PKCS11, session: Handle): void {
  try {
    binding.C_CloseSession(session);
  } catch {
    // It is gone already.
  }
}
