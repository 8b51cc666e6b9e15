/** Where a database is: `postgres://role@host:port/name`, or `postgres://role@localhost:port/name?host=/socket/folder`. */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/** PostgreSQL's port. */
export const DEFAULT_PORT = 5432;

/** A parsed address. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Path of a Unix socket, when it is one. */
  readonly socket?: string;
  /** For messages: never more than host, port and name. */
  readonly shown: string;
}

/**
 * Reads an address.
 * @throws {CodedError} `DATABASE_ADDRESS` when a part is missing, or when it holds a password: addresses are printed,
 *   passwords belong into a file (`passwordFile`).
 */
export function parseAddress(text: string): DatabaseAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refused("it is not postgres://role@host:port/name");
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw refused("it does not begin with postgres://");
  }
  if (url.password) {
    throw refused("it holds a password; put it into a file of mode 0600 and name that as passwordFile");
  }
  const user = decodeURIComponent(url.username);
  const database = decodeURIComponent(url.pathname.slice(1));
  if (!user || !database || database.includes("/")) throw refused("it names no role or no database");
  for (const key of url.searchParams.keys()) {
    if (key !== "host") {
      throw refused("it has parameters; only host=/socket/folder is taken, the rest is configuration");
    }
  }
  const port = url.port === "" ? DEFAULT_PORT : Number(url.port);
  const folder = url.searchParams.get("host");
  if (folder !== null) {
    if (!folder.startsWith("/")) throw refused("host= is not the absolute path of a folder");
    const socket = `${folder.replace(/\/+$/, "")}/.s.PGSQL.${port}`;
    return { host: "localhost", port, database, user, socket, shown: `${socket}/${database}` };
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!host || host.includes(",")) throw refused("it names no host, or several");
  return { host, port, database, user, shown: `${url.hostname}:${port}/${database}` };
}

function refused(why: string): CodedError {
  return new CodedError("DATABASE_ADDRESS", `Cannot use database address: ${why}`);
}

defineErrors({
  DATABASE_ADDRESS: {
    fault: "configuration",
    retry: false,
    next: "Write postgres://role@host:port/name, or postgres://role@localhost:port/name?host=/socket/folder.",
  },
});
