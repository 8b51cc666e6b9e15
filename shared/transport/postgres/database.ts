/**
 * PostgreSQL through the `postgres` library, and through it the embedded database of the demo, which speaks the same
 * protocol. Adds what a service needs: explicit types, limits, codes instead of errors that hold values, and
 * transactions that are tried again after a conflict.
 *
 * Types in both directions: int8 is bigint, bytea is Uint8Array, timestamptz is Date, json is parsed, numeric is string.
 * Arrays are not converted: write `in ${sql(list)}`, or pass `sql.json(list)`.
 * Permissions of the process: net of `host:port` and read of the TLS files; or for a socket net `unix:PATH`, read and
 * write of PATH; env of the PG* variables that the library asks for ({@link LIBRARY_ENVIRONMENT}).
 */

import postgres from "postgres";
import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";
import { readSecretFile } from "../secret_file.ts";
import { parseAddress } from "./address.ts";
import { isConnectionLost, toDatabaseError } from "./database_error.ts";

/** Types that the tag takes and gives beyond the library's own. */
type Types = { bigint: bigint; bytea: Uint8Array<ArrayBuffer> };
/** The tag: `` sql`select ${value}` ``. Values are parameters, never text. The same inside a transaction and outside. */
export type Sql = postgres.ISql<Types>;
/** The tag inside a transaction. */
export type TransactionSql = Sql;

/** Names that the library looks up in the environment before it takes what it is given: the process must be let. */
export const LIBRARY_ENVIRONMENT: readonly string[] = ["PGAPPNAME"];

/** Client certificate and trust for a server that takes TLS only. */
export interface DatabaseTls {
  /** PEM of the authorities that may have issued the server's certificate. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Name in the server's certificate, when it is not the host of the address. */
  readonly serverName?: string;
}

/** How to open a database. */
export interface DatabaseOptions {
  /** See `parseAddress`. */
  readonly url: string;
  readonly tls?: DatabaseTls;
  /** File with the role's password, mode 0600, where the server wants one. */
  readonly passwordFile?: string;
  /** Shown in the server's list of sessions. */
  readonly applicationName: string;
  /** Connections at most, a quarter of them (at least one, if there are two) for queries outside transactions. Default 8. */
  readonly max?: number;
  /** Server's limit of one statement, in milliseconds. Default 10,000. Not enforced by the embedded database. */
  readonly statementTimeoutMs?: number;
  /** Server's limit of waiting for one lock, in milliseconds. Default 5,000. */
  readonly lockTimeoutMs?: number;
  /** For connecting, in milliseconds, rounded up to seconds. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Our own limit of one query or transaction, whatever the server does, in milliseconds. Default 30,000. */
  readonly deadlineMs?: number;
}

/** How to run a transaction. */
export interface TransactionOptions {
  /** Default `serializable`: concurrent transactions have the effect of some order of them. */
  readonly isolation?: "serializable" | "repeatable read" | "read committed";
  /** Tries in all when others write the same rows. Default {@link TRANSACTION_ATTEMPTS}. */
  readonly attempts?: number;
  /** Limit of each try, in milliseconds. Default: that of the database. */
  readonly deadlineMs?: number;
}

/** Tries of a transaction, unless told otherwise. */
export const TRANSACTION_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 5;
const CLOSE_LIMIT_SECONDS = 5;

/** A pool of connections to one database. */
export interface Database {
  /**
   * The tag. Rejects with `CodedError`: `DATABASE_UNAVAILABLE`, `DATABASE_CONFLICT`, `DATABASE_TIMEOUT`,
   * `DATABASE_DUPLICATE` (details `constraint`), `DATABASE_CONSTRAINT`, `DATABASE_ACCESS`, `DATABASE_QUERY`.
   * Cursors and streams of the library are not covered: do not use them.
   */
  readonly sql: Sql;
  /**
   * Runs `work` in a transaction and commits it. `work` may run several times, so it must have no other effect than
   * through the tag it is given; queries that it catches still end the transaction.
   * @throws {CodedError} as the tag; `DATABASE_CONFLICT` when all tries met others. After `DATABASE_UNAVAILABLE` it is
   *   unknown whether the last try was committed.
   */
  transaction<T>(work: (sql: TransactionSql) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Asks the server for a sign of life. @throws {CodedError} `DATABASE_UNAVAILABLE` after `deadlineMs` (default 2,000). */
  ping(deadlineMs?: number): Promise<void>;
  /** Lets running queries end for a few seconds, then cuts them off. */
  close(): Promise<void>;
}

/**
 * Opens a database; connections are made when they are needed, so this does not fail when the server is away.
 * @throws {CodedError} `DATABASE_ADDRESS`, `DATABASE_TLS`, `SECRET_FILE_MISSING`, `SECRET_FILE_OPEN`.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const address = parseAddress(options.url);
  const deadlineMs = options.deadlineMs ?? 30_000;
  const { passwordFile } = options;
  const pool = (max: number, pipeline: number): postgres.Sql<Types> =>
    postgres({
      host: address.host,
      port: address.port,
      ...(address.socket ? { path: address.socket } : {}),
      database: address.database,
      user: address.user,
      pass: passwordFile === undefined ? NO_PASSWORD : () => {
        using password = readSecretFile(passwordFile);
        return new TextDecoder().decode(password.reveal());
      },
      ssl: options.tls ? readTls(options.tls, address.host) : false,
      ...untyped(pipeline),
      max,
      connect_timeout: Math.ceil((options.connectTimeoutMs ?? 5_000) / 1000),
      idle_timeout: 0,
      keep_alive: 30,
      max_lifetime: 3600,
      prepare: true,
      // It would ask for array types on connecting, and the process would die of the rejection when the server dies then.
      fetch_types: false,
      debug: false,
      backoff: (retries: number) => Math.min(2 ** retries / 100, 2) * (0.5 + Math.random() / 2),
      publications: "none",
      target_session_attrs: "read-write" as const,
      connection: {
        application_name: options.applicationName,
        statement_timeout: options.statementTimeoutMs ?? 10_000,
        lock_timeout: options.lockTimeoutMs ?? 5_000,
        idle_in_transaction_session_timeout: deadlineMs,
        TimeZone: "UTC",
      },
      onnotice: () => {},
      types: {
        bigint: {
          to: 20,
          from: [20],
          serialize: (value: bigint) => value.toString(),
          parse: (text: string) => BigInt(text),
        },
        bytea: {
          to: 17,
          from: [17],
          serialize: (value: Uint8Array<ArrayBuffer>) => `\\x${new Uint8Array(value).toHex()}`,
          parse: (text: string) => Uint8Array.fromHex(text.slice(2)),
        },
      },
    });
  const all = options.max ?? 8;
  // QUIRK(postgres 3.4.9): a BEGIN that is sent behind another query on a connection is refused as UNSAFE_TRANSACTION once
  // `max_pipeline` is reached, for single queries at once. So these have connections of their own.
  const single = Math.max(1, Math.floor(all / 4));
  if (all === 1) {
    const both = pool(1, SINGLE_PIPELINE);
    return new PooledDatabase(both, both, deadlineMs);
  }
  return new PooledDatabase(
    pool(all - single, TRANSACTION_PIPELINE),
    pool(single, SINGLE_PIPELINE),
    deadlineMs,
  );
}

/** Options that the library has and its types have not; without them the environment would be asked. */
function untyped(pipeline: number): object {
  return { sslnegotiation: null, max_pipeline: pipeline };
}
/** At most one query is sent behind another that may be waiting for a lock (0 breaks the library's transactions). */
const SINGLE_PIPELINE = 1;
/**
 * Statements of one transaction that are sent before the first is answered. They wait for one another anyway, and go in one
 * packet: a packet costs both sides more than what is in it.
 */
const TRANSACTION_PIPELINE = 16;
/** The library takes an empty password for none given and looks into PGPASSWORD. */
const NO_PASSWORD = () => "";

function readTls(tls: DatabaseTls, host: string): Record<string, unknown> {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      throw new CodedError(
        "DATABASE_TLS",
        `Cannot read ${path}: it is not there, or this process may not read it`,
      );
    }
  };
  return {
    ca: read(tls.caFile),
    cert: read(tls.certFile),
    key: read(tls.keyFile),
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    // Without a name the library would check none for an IP address; `host` is checked against the IP names.
    servername: tls.serverName ?? (isIpAddress(host) ? undefined : host),
    host: tls.serverName ?? host,
  };
}

/** Whether a host is an address rather than a name (a name never has a colon, nor a number at its end). */
function isIpAddress(host: string): boolean {
  return host.includes(":") || /^[0-9.]+$/.test(host);
}

class PooledDatabase implements Database {
  readonly sql: Sql;
  readonly #transactions: postgres.Sql<Types>;
  readonly #single: postgres.Sql<Types>;
  readonly #deadlineMs: number;
  #closing: Promise<unknown> | undefined;

  constructor(transactions: postgres.Sql<Types>, single: postgres.Sql<Types>, deadlineMs: number) {
    this.#transactions = transactions;
    this.#single = single;
    this.#deadlineMs = deadlineMs;
    this.sql = guard(single, deadlineMs);
  }

  async transaction<T>(
    work: (sql: TransactionSql) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const attempts = options.attempts ?? TRANSACTION_ATTEMPTS;
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#attempt(
          work,
          options.isolation ?? "serializable",
          options.deadlineMs ?? this.#deadlineMs,
        );
      } catch (error) {
        if (codeOf(error) !== "DATABASE_CONFLICT" || attempt >= attempts) throw error;
        await pause(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  async #attempt<T>(
    work: (sql: TransactionSql) => Promise<T>,
    isolation: string,
    deadlineMs: number,
  ): Promise<T> {
    const state: TransactionState = {};
    const running = this.#transactions.begin(`isolation level ${isolation}`, async (sql) => {
      try {
        refuseWhenOver(state); // nothing may run when the caller was told already that this failed
        const value = await work(guard(sql, deadlineMs, state));
        refuseWhenOver(state);
        return { value }; // in an object: the library would take an array for a list of queries
      } catch (error) {
        if (state.lost) return await NEVER;
        throw new WorkFailure(error);
      }
    });
    running.catch((error) => noteLost(error, state));
    try {
      return (await withDeadline(running, deadlineMs, state)).value;
    } catch (error) {
      const thrown = error instanceof WorkFailure ? error.cause : error;
      if (thrown instanceof CodedError) {
        state.late ??= thrown; // work that still runs may not commit any more
        // "Transaction is aborted" hides the reason, when the work went on after a query that failed.
        if (thrown.details.sqlState === "25P02") throw state.first ?? thrown;
      }
      throw thrown;
    }
  }

  async ping(deadlineMs = 2_000): Promise<void> {
    await withDeadline(this.sql`select 1`, deadlineMs);
  }

  async close(): Promise<void> {
    this.#closing ??= Promise.all(
      [...new Set([this.#transactions, this.#single])].map((pool) =>
        pool.end({ timeout: CLOSE_LIMIT_SECONDS })
      ),
    );
    await this.#closing;
  }
}

/** What the queries of one transaction share. */
interface TransactionState {
  /** Its connection is gone. */
  lost?: CodedError;
  /** The caller was told that it failed. */
  late?: CodedError;
  /** The first query that failed. */
  first?: CodedError;
}

/**
 * What a transaction gives the library when its connection is gone. The library would answer a result or an error with COMMIT
 * or ROLLBACK on a socket that is null, outside any `try`, and the process would die of it; it has rejected already.
 */
const NEVER = new Promise<never>(() => {});

function refuseWhenOver(state: TransactionState): void {
  const over = state.lost ?? state.late;
  if (over) throw over;
}

/** What the work of a transaction threw, told apart from what the library throws around it. */
class WorkFailure extends Error {
  constructor(cause: unknown) {
    super("work failed", { cause });
  }
}

/**
 * The same tag, whose queries reject with our codes and within a deadline. In a transaction it refuses to be used after the
 * connection was lost: the library would write to a socket that is not there, outside any `try`.
 */
function guard(sql: Sql, deadlineMs: number, state?: TransactionState): Sql {
  const call = (target: unknown, self: unknown, args: unknown[]) => {
    if (state) refuseWhenOver(state);
    return guardQuery(
      Reflect.apply(target as (...args: unknown[]) => unknown, self, args),
      deadlineMs,
      state,
    );
  };
  return new Proxy<Sql>(sql, {
    apply: call,
    get: (target, name) => {
      const value = Reflect.get(target, name);
      return name === "unsafe" ? (...args: unknown[]) => call(value, target, args) : value;
    },
  });
}

/** Queries are lazy promises, and fragments of other queries too: the object itself must stay what it is. */
function guardQuery(query: unknown, deadlineMs: number, state?: TransactionState): unknown {
  if (!(query instanceof Promise)) return query;
  const start = query.then.bind(query);
  let settled: Promise<unknown> | undefined;
  query.then = (fulfilled, rejected) => {
    settled ??= withDeadline({ then: start } as PromiseLike<unknown>, deadlineMs, state);
    return settled.then(fulfilled, rejected);
  };
  return query;
}

/** Waits no longer than the deadline, and turns what the library threw into a code. */
async function withDeadline<T>(
  work: PromiseLike<T>,
  deadlineMs: number,
  state?: TransactionState,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new CodedError("DATABASE_UNAVAILABLE", `Cannot reach database: no answer in ${deadlineMs} ms`),
        ),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof WorkFailure) throw error;
    const coded = toDatabaseError(error);
    if (state) {
      state.first ??= coded;
      noteLost(coded, state);
    }
    throw coded;
  } finally {
    clearTimeout(timer);
  }
}

function noteLost(error: unknown, state: TransactionState): void {
  if (error instanceof WorkFailure) return;
  const coded = toDatabaseError(error);
  if (isConnectionLost(coded)) state.lost ??= coded;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

defineErrors({
  DATABASE_TLS: {
    fault: "configuration",
    retry: false,
    next: "Name readable PEM files: caFile, certFile, keyFile.",
  },
});
