/**
 * Errors of the database as codes of ours. The server's own text is dropped: it repeats values ("Key (serial)=(..)"), and the
 * client library's error carries the parameters of the query.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** Codes by SQLSTATE (PostgreSQL appendix A), longest prefix first. */
const BY_STATE: readonly (readonly [prefix: string, code: string, meaning: string])[] = [
  ["40001", "DATABASE_CONFLICT", "another transaction was faster"],
  ["40P01", "DATABASE_CONFLICT", "two transactions waited for each other"],
  ["23505", "DATABASE_DUPLICATE", "a row with this key exists"],
  ["23", "DATABASE_CONSTRAINT", "a constraint refuses the row"],
  ["57014", "DATABASE_TIMEOUT", "the statement took too long"],
  ["55P03", "DATABASE_TIMEOUT", "a lock was not free in time"],
  ["25P03", "DATABASE_TIMEOUT", "the transaction was idle for too long"],
  ["25P04", "DATABASE_TIMEOUT", "the transaction took too long"],
  ["25006", "DATABASE_UNAVAILABLE", "the server is read-only"],
  ["28", "DATABASE_ACCESS", "the server does not let this role in"],
  ["3D000", "DATABASE_ACCESS", "the server has no such database"],
  ["42501", "DATABASE_ACCESS", "the role may not do this"],
  ["53", "DATABASE_UNAVAILABLE", "the server is out of room or connections"],
  ["57P", "DATABASE_UNAVAILABLE", "the server is starting or stopping"],
  ["58", "DATABASE_UNAVAILABLE", "the server's machine fails"],
  ["08", "DATABASE_UNAVAILABLE", "the connection broke"],
];

/** TLS failures that no later attempt mends. */
const TLS_CODE = /^(?:ERR_TLS_|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|HOSTNAME_MISMATCH)/;
/** The library's own and the system's codes for a connection that is not there. */
const CONNECTION_CODE =
  /^(?:CONNECT_TIMEOUT|CONNECTION_(?:CLOSED|ENDED|DESTROYED)|E(?:CONN[A-Z]+|PIPE|NOENT|NOTFOUND|TIMEDOUT|HOST[A-Z]+|NET[A-Z]+|AI_AGAIN|ACCES|PERM))$/;

/** States with which the server ends the connection: connection exceptions, and the end of its own process. */
const CONNECTION_STATE = /^(?:08|57P0[1245]|25P03)/;

/** Turns anything that a query threw into a `CodedError`; errors that are ours already stay. */
export function toDatabaseError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const { code, name } = typeof error === "object" && error !== null
    ? error as { code?: unknown; name?: unknown }
    : {};
  if (name === "PostgresError" && typeof code === "string") return ofServer(code, error as object);
  if (name === "NotCapable") {
    return new CodedError("DATABASE_ACCESS", "Cannot reach database: this process has no permission to");
  }
  if (typeof code === "string" && TLS_CODE.test(code)) {
    return new CodedError("DATABASE_ACCESS", `Cannot reach database: its certificate is refused (${code})`, {
      reason: code,
    });
  }
  if (typeof code === "string" && CONNECTION_CODE.test(code)) {
    return new CodedError("DATABASE_UNAVAILABLE", `Cannot reach database: ${code}`, {
      reason: code,
      connectionLost: true,
    });
  }
  return new CodedError(
    "DATABASE_QUERY",
    `Cannot run query: the client library refuses it (${typeof code === "string" ? code : String(name)})`,
  );
}

function ofServer(state: string, error: object): CodedError {
  const [, code, meaning] = BY_STATE.find(([prefix]) => state.startsWith(prefix)) ??
    ["", "DATABASE_QUERY", "the server refuses it"];
  const names = ["constraint_name", "table_name", "column_name", "routine"] as const;
  const details: Record<string, unknown> = { sqlState: state };
  if (CONNECTION_STATE.test(state)) details.connectionLost = true;
  for (const name of names) {
    const value = (error as Record<string, unknown>)[name];
    if (typeof value === "string") details[name.replace("_name", "")] = value;
  }
  return new CodedError(code, `Cannot run query: ${meaning} (SQLSTATE ${state})`, details);
}

/** Whether the connection of a failed query is gone with it. */
export function isConnectionLost(error: CodedError): boolean {
  return error.details.connectionLost === true;
}

defineErrors({
  DATABASE_UNAVAILABLE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Check that the database runs and is reached; what was being committed may have been committed.",
  },
  DATABASE_CONFLICT: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Try again: others write the same rows.",
  },
  DATABASE_TIMEOUT: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Try again; if it stays, look for slow queries.",
  },
  DATABASE_DUPLICATE: { fault: "usage", retry: false, http: 409, next: "It exists already." },
  DATABASE_CONSTRAINT: { fault: "bug", retry: false, http: 500, next: "Report it." },
  DATABASE_ACCESS: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Check role, database name, client certificate, the server's pg_hba.conf, and the process's permissions.",
  },
  DATABASE_QUERY: { fault: "bug", retry: false, http: 500, next: "Report it, with the SQLSTATE." },
});
