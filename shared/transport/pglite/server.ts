/** The embedded database behind PostgreSQL's protocol. See main.ts for what it is not. */

import { PGlite } from "@electric-sql/pglite";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { concat, writeUint } from "shared/base/bytes.ts";
import { type ConnectionContext, serveConnection } from "./connection.ts";
import { lockDirectory } from "./directory_lock.ts";
import { fatal, lastStatus, STARTUP, zeroEnded } from "./framing.ts";
import { SharedBackend } from "./shared_backend.ts";

/** Connections at once. */
export const CONNECTION_LIMIT = 64;

/** Where to listen: loopback or a Unix socket, nothing else, because there is no authentication. */
export type Listen =
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** How to serve. */
export interface PGliteServerOptions {
  /** Folder of the data (`data`) and of the lock (`lock`); made when it is missing. */
  readonly directory: string;
  readonly listen: Listen;
  readonly logger: Logger;
  readonly maxConnections?: number;
  readonly idleLimitMs?: number;
  /** Called when the backend ends by itself. */
  readonly onDeath: (error: unknown) => void;
}

/** A server that runs. */
export interface PGliteServer {
  /** For `openDatabase`. */
  readonly url: string;
  /** `127.0.0.1:PORT` or the path of the socket. */
  readonly address: string;
  readonly connections: number;
  /** Ends the connections, closes the database and gives the folder free. */
  stop(): Promise<void>;
}

/** Reads `127.0.0.1:PORT`, `[::1]:PORT` or `unix:/PATH`. @throws {CodedError} `PGLITE_LISTEN`. */
export function parseListen(text: string): Listen {
  const socket = /^(?:unix:)?(\/.*)$/.exec(text);
  if (socket) {
    const path = socket[1]!;
    if (!/\/\.s\.PGSQL\.\d{1,5}$/.test(path)) {
      throw new CodedError(
        "PGLITE_LISTEN",
        "Cannot listen: a socket's name is .s.PGSQL.PORT, clients make it of folder and port",
      );
    }
    return { kind: "unix", path };
  }
  const tcp = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text);
  if (!tcp || Number(tcp[2]) > 65_535) {
    throw new CodedError("PGLITE_LISTEN", "Cannot listen: give 127.0.0.1:PORT or unix:/FOLDER/.s.PGSQL.PORT");
  }
  return { kind: "tcp", hostname: tcp[1]!.replace(/[[\]]/g, ""), port: Number(tcp[2]) };
}

/** Opens the folder and serves it. @throws {CodedError} `PGLITE_LOCKED`, `PGLITE_OPEN`, `PGLITE_LISTEN`. */
export async function startPGliteServer(options: PGliteServerOptions): Promise<PGliteServer> {
  const { directory, logger } = options;
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const lock = await lockDirectory(directory);
  let database: PGlite | undefined;
  try {
    database = await openPGlite(directory);
    const backend = new SharedBackend(database, (error) => {
      logger.error("pglite.dead", { error });
      options.onDeath(error);
    });
    const context: ConnectionContext = {
      backend,
      welcome: await readWelcome(backend),
      ...(options.idleLimitMs === undefined ? {} : { idleLimitMs: options.idleLimitMs }),
    };
    const listener = await listen(options.listen);
    return serve(listener, context, database, lock, options);
  } catch (error) {
    await database?.close().catch(() => {});
    lock[Symbol.dispose]();
    throw error;
  }
}

async function openPGlite(directory: string): Promise<PGlite> {
  try {
    return await PGlite.create({ dataDir: `${directory}/data`, relaxedDurability: false });
  } catch (error) {
    throw new CodedError(
      "PGLITE_OPEN",
      `Cannot open embedded database ${directory}: ${
        error instanceof Error ? error.message : "it does not start"
      }`,
      { directory },
    );
  }
}

/** The backend's own answer to a startup packet: authentication not wanted, parameters, ready. */
async function readWelcome(backend: SharedBackend): Promise<Uint8Array> {
  const body = concat(
    writeUint(STARTUP.PROTOCOL_3_0, 4),
    zeroEnded("user"),
    zeroEnded("postgres"),
    zeroEnded("database"),
    zeroEnded("postgres"),
    Uint8Array.of(0),
  );
  const welcome = await backend.run(concat(writeUint(body.length + 4, 4), body));
  if (lastStatus(welcome) !== "I") {
    throw new CodedError("PGLITE_OPEN", "Cannot open embedded database: no welcome");
  }
  return welcome;
}

async function listen(where: Listen): Promise<Deno.Listener> {
  try {
    if (where.kind === "tcp") return Deno.listen({ hostname: where.hostname, port: where.port });
    // The folder is locked: a socket that is there is left over.
    await Deno.remove(where.path).catch(() => {});
    const listener = Deno.listen({ transport: "unix", path: where.path });
    await Deno.chmod(where.path, 0o600);
    return listener;
  } catch (error) {
    const shown = where.kind === "tcp" ? `${where.hostname}:${where.port}` : where.path;
    throw new CodedError(
      "PGLITE_LISTEN",
      `Cannot listen on ${shown}: ${error instanceof Error ? error.name : "refused"}`,
    );
  }
}

function serve(
  listener: Deno.Listener,
  context: ConnectionContext,
  database: PGlite,
  lock: Disposable,
  options: PGliteServerOptions,
): PGliteServer {
  const limit = options.maxConnections ?? CONNECTION_LIMIT;
  const open = new Map<Deno.Conn, Promise<void>>();
  const accepting = (async () => {
    for await (const connection of listener) {
      if (open.size >= limit) {
        void refuse(connection);
        continue;
      }
      open.set(connection, serveConnection(connection, context).finally(() => open.delete(connection)));
    }
  })();
  const { listen: where } = options;
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const address = where.kind === "tcp" ? `${where.hostname}:${port}` : where.path;
  let stopping: Promise<void> | undefined;
  return {
    url: urlOf(where, port),
    address,
    get connections() {
      return open.size;
    },
    stop: () =>
      stopping ??= (async () => {
        listener.close();
        await accepting;
        for (const connection of open.keys()) closeQuietly(connection);
        await Promise.all(open.values());
        await database.close();
        lock[Symbol.dispose]();
        if (where.kind === "unix") await Deno.remove(where.path).catch(() => {});
      })(),
  };
}

function urlOf(where: Listen, port: number): string {
  if (where.kind === "tcp") {
    const host = where.hostname.includes(":") ? `[${where.hostname}]` : where.hostname;
    return `postgres://postgres@${host}:${port}/postgres`;
  }
  const [, folder, number] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(where.path) ?? [];
  return `postgres://postgres@localhost:${number}/postgres?host=${encodeURIComponent(folder ?? "")}`;
}

async function refuse(connection: Deno.Conn): Promise<void> {
  await connection.write(fatal("53300", "too many connections")).catch(() => {});
  closeQuietly(connection);
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

defineErrors({
  PGLITE_LISTEN: {
    fault: "usage",
    retry: false,
    next: "Give --listen 127.0.0.1:PORT or unix:/FOLDER/.s.PGSQL.PORT.",
  },
  PGLITE_OPEN: {
    fault: "service",
    retry: false,
    next: "Look at the folder; it may be from another version, or the disk full.",
  },
});
