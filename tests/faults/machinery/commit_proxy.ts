/**
 * Stands between the services and PostgreSQL and knows when a transaction commits: it reads the protocol (PostgreSQL manual,
 * 54.7), holds the message on its way, and lets a test do something first. So whatever dies, dies exactly there, and no
 * process needs a door for it.
 */

import { concat, readUint } from "shared/base/bytes.ts";

/**
 * - `before`: the service has sent COMMIT, the server has not received it.
 * - `after`: the server has committed, the service does not know it yet.
 */
export const COMMIT_SIDES = ["before", "after"] as const;
/** One of `COMMIT_SIDES`. */
export type CommitSide = (typeof COMMIT_SIDES)[number];

/** A commit on its way. */
export interface CommitEvent {
  readonly side: CommitSide;
  /** `application_name` of the connection: which service it is. */
  readonly who: string;
  /** Whether its transaction wrote: what only read loses nothing. */
  readonly writes: boolean;
}

/** See `CommitProxy.onCommit`. */
export type OnCommit = (event: CommitEvent) => Promise<boolean> | boolean;

/** A running proxy. */
export interface CommitProxy extends AsyncDisposable {
  /** `host:port` for the services. */
  readonly address: string;
  /**
   * Called for each commit, on both sides; what it returns is waited for. `false`: the message is dropped with its
   * connection, as when its sender died before it was sent.
   */
  onCommit: OnCommit;
}

const COMMIT_TAG = "COMMIT";
/**
 * What only the log's writer has in its transactions: the fence. It commits when it likes, so its commits would make those of
 * a presentation uncountable; tests of their own kill it at each of its writes (shared/log/store).
 */
const LOG_WRITER = "log_head";
const TYPE = { parse: 0x50, bind: 0x42, query: 0x51, commandComplete: 0x43 } as const;

/** Starts a proxy in front of a server's Unix socket. */
export function startCommitProxy(socketPath: string): CommitProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const work = new Set<Promise<void>>();
  const proxy: { onCommit: OnCommit } = { onCommit: () => true };
  const serving = (async () => {
    for await (const client of listener) {
      const task: Promise<void> = serve(client, socketPath, open, (event) => proxy.onCommit(event))
        .finally(() => work.delete(task));
      work.add(task);
    }
  })().catch(() => {});
  return Object.assign(proxy, {
    address: `127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) closeQuietly(connection);
      await serving;
      await Promise.all(work);
    },
  });
}

async function serve(
  client: Deno.TcpConn,
  path: string,
  open: Set<Deno.Conn>,
  onCommit: OnCommit,
): Promise<void> {
  open.add(client);
  let server: Deno.UnixConn | undefined;
  try {
    client.setNoDelay(true);
    server = await Deno.connect({ transport: "unix", path });
    open.add(server);
    const session: Session = { who: "", statements: new Map(), isLogWriter: false, wrote: false, told: [] };
    const both = [client, server];
    // The end of either direction ends the connection, as the death of either side does.
    const end = () => both.forEach(closeQuietly);
    await Promise.all([
      pump(
        client,
        server,
        true,
        async (message) => {
          if (!commits(message, session)) return true;
          const { isLogWriter, wrote: writes, who } = session;
          session.isLogWriter = session.wrote = false;
          session.told.push(isLogWriter ? undefined : { writes });
          return isLogWriter || await onCommit({ side: "before", who, writes });
        },
      ).finally(end),
      pump(
        server,
        client,
        false,
        async ({ type, body }) => {
          if (type !== TYPE.commandComplete || !text(body).startsWith(COMMIT_TAG)) return true;
          const told = session.told.shift();
          return told === undefined || await onCommit({ side: "after", who: session.who, ...told });
        },
      ).finally(end),
    ]);
  } catch {
    // The server is not there, or a side has gone: the other side sees a closed connection.
  } finally {
    for (const connection of [client, server]) {
      if (connection === undefined) continue;
      closeQuietly(connection);
      open.delete(connection);
    }
  }
}

interface Session {
  who: string;
  /** Text of each prepared statement, by its name. */
  readonly statements: Map<string, string>;
  /** Whether the transaction that is open is the log writer's. */
  isLogWriter: boolean;
  /** Whether the transaction that is open wrote. */
  wrote: boolean;
  /** Of each COMMIT that was sent and not answered: what was told of it, if it was. */
  readonly told: ({ readonly writes: boolean } | undefined)[];
}

interface Message {
  /** Undefined: the startup message, which has no type. */
  readonly type: number | undefined;
  readonly body: Uint8Array;
}

/** Whether a message of the client's ends its transaction with COMMIT. */
function commits({ type, body }: Message, session: Session): boolean {
  const strings = () => text(body).split("\0");
  if (type === undefined) {
    const pairs = text(body.slice(4)).split("\0");
    session.who = pairs[pairs.indexOf("application_name") + 1] ?? "";
  } else if (type === TYPE.parse) {
    const [name = "", statement = ""] = strings();
    session.statements.set(name, statement);
  } else if (type === TYPE.query) {
    return ends(strings()[0]!, session);
  } else if (type === TYPE.bind) {
    return ends(session.statements.get(strings()[1]!) ?? "", session);
  }
  return false;
}

function ends(statement: string, session: Session): boolean {
  if (statement.includes(LOG_WRITER)) session.isLogWriter = true;
  if (/^\s*(insert|update|delete)\b/i.test(statement)) session.wrote = true;
  if (/^\s*(begin|rollback)\b/i.test(statement)) session.isLogWriter = session.wrote = false;
  return /^\s*commit\b/i.test(statement);
}

/** Copies whole messages, each after `look` has seen it and let it pass. */
async function pump(
  from: Deno.Conn,
  to: Deno.Conn,
  startup: boolean,
  look: (message: Message) => Promise<boolean>,
): Promise<void> {
  let pending: Uint8Array = new Uint8Array(0);
  let first = startup;
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    pending = concat(pending, buffer.slice(0, count));
    let done = 0;
    for (;;) {
      const head = first ? 0 : 1;
      if (pending.length - done < head + 4) break;
      const length = head + readUint(pending.slice(done + head, done + head + 4));
      if (pending.length - done < length) break;
      const message = pending.subarray(done, done + length);
      if (!await look({ type: first ? undefined : message[0]!, body: message.subarray(head + 4) })) return;
      first = false;
      done += length;
    }
    if (done > 0) await writeAll(to, pending.subarray(0, done));
    pending = pending.slice(done);
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await to.write(bytes.subarray(written));
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
