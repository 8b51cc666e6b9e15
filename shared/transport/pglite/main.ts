/**
 * The embedded database of the demonstration, a process of its own: PostgreSQL compiled to WebAssembly (PGlite) behind
 * PostgreSQL's protocol. NOT FOR PRODUCTION:
 *
 * - It makes no fsync: what was committed survives the death of this process, not that of the machine.
 * - There is no authentication and no TLS; it listens on loopback or a private Unix socket alone.
 * - One backend serves all clients in turn. Settings (SET), temporary tables, advisory locks of the session, SQL-level
 *   PREPARE and LISTEN are common to all of them. Transactions and protocol-level prepared statements are each client's own.
 *   A statement without a name lives until the next Sync.
 * - Timeouts of the server (statement_timeout, lock_timeout) do nothing, a statement cannot be cancelled, COPY FROM STDIN is
 *   refused. A client that keeps a transaction open and silent for 30 s is put out.
 *
 * Arguments: `--directory DIR --listen 127.0.0.1:PORT | unix:/FOLDER/.s.PGSQL.PORT` (port 0: any).
 * Prints one line of JSON when it serves: `{"ready":true,"url":...,"address":...,"pid":...}`. SIGTERM and SIGINT end it well.
 * Permissions: read and write of DIR; net of the address it listens on (for a socket `unix:PATH`, and read and write of its
 * folder); read of node_modules.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { parseListen, type PGliteServer, startPGliteServer } from "./server.ts";

async function main(): Promise<void> {
  const logger = createLogger("pglite");
  const { directory, listen } = readArguments();
  logger.warning("pglite.demo", {
    directory,
    message: "Embedded database: not for production. It makes no fsync and asks nobody for a password.",
  });
  const server = await startPGliteServer({
    directory,
    listen: parseListen(listen),
    logger,
    onDeath: () => Deno.exit(EXIT_CODES.service),
  });
  const ended = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => ended.resolve(signal));
  }
  console.log(JSON.stringify({ ready: true, url: server.url, address: server.address, pid: Deno.pid }));
  const signal = await ended.promise;
  logger.info("pglite.stopping", { signal, connections: server.connections });
  await stopInTime(server);
  logger.info("pglite.stopped");
  Deno.exit(EXIT_CODES.ok);
}

/** A statement that never ends must not keep the process: the data survives its death. */
async function stopInTime(server: PGliteServer): Promise<void> {
  const timer = setTimeout(() => Deno.exit(EXIT_CODES.service), 10_000);
  await server.stop();
  clearTimeout(timer);
}

function readArguments(): { directory: string; listen: string } {
  let values: { directory?: string; listen?: string };
  try {
    ({ values } = parseArgs({
      args: Deno.args,
      options: { directory: { type: "string" }, listen: { type: "string" } },
    }));
  } catch {
    values = {};
  }
  const { directory, listen } = values;
  if (!directory || !listen) {
    throw new CodedError(
      "PGLITE_USAGE",
      "Cannot start embedded database: --directory DIR --listen ADDRESS are needed",
    );
  }
  return { directory, listen };
}

defineErrors({
  PGLITE_USAGE: { fault: "usage", retry: false, next: "Give --directory DIR --listen 127.0.0.1:PORT." },
});

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    const coded = error instanceof CodedError ? error : undefined;
    createLogger("pglite").error("pglite.failed", {
      code: codeOf(error),
      message: coded?.message ?? "Cannot start embedded database: a fault of the program",
      next: coded?.row.next,
    });
    Deno.exit(EXIT_CODES[coded?.row.fault ?? "bug"]);
  }
}
