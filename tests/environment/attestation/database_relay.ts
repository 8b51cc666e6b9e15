/**
 * A relay between a client and a PostgreSQL server that cuts a connection at COMMIT: before the server has seen it, or after the
 * server has done it and before the client hears of it. That is what a failover in the middle looks like to the client.
 */

/** Where to cut. */
export type Cut = "before-commit" | "after-commit";

/** A running relay. */
export interface DatabaseRelay extends AsyncDisposable {
  /** Address of the database through the relay. */
  readonly url: string;
  /** Cuts the connection that commits next. @param nth which COMMIT from now on, 1 for the next. */
  cutNext(cut: Cut, nth?: number): void;
}

/** Starts a relay to the server of an address, which is on TCP or on a socket of this machine. */
export function startDatabaseRelay(target: string): DatabaseRelay {
  const url = new URL(target);
  const folder = url.searchParams.get("host");
  const port = Number(url.port || 5432);
  const connect = (): Promise<Deno.Conn> =>
    folder === null
      ? Deno.connect({ hostname: url.hostname, port })
      : Deno.connect({ transport: "unix", path: `${folder}/.s.PGSQL.${port}` });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  let pending: { cut: Cut; left: number } | undefined;

  /** Whether this chunk of a client's commits, and is to be cut. */
  const cutting = (chunk: Uint8Array): Cut | undefined => {
    if (pending === undefined || !/commit/i.test(text(chunk))) return undefined;
    if (--pending.left > 0) return undefined;
    const { cut } = pending;
    pending = undefined;
    return cut;
  };
  const close = (...connections: Deno.Conn[]) => {
    for (const connection of connections) {
      if (open.delete(connection)) connection.close();
    }
  };
  const serve = async (client: Deno.Conn) => {
    open.add(client);
    const server = await connect();
    open.add(server);
    let swallow = false;
    const forth = pump(client, async (chunk) => {
      const cut = cutting(chunk);
      if (cut === "before-commit") return false;
      swallow ||= cut === "after-commit";
      await writeAll(server, chunk);
      return true;
    });
    const back = pump(server, async (chunk) => {
      // The server says that COMMIT is done, and nobody hears of it.
      if (swallow && text(chunk).includes("COMMIT\0")) return false;
      await writeAll(client, chunk);
      return true;
    });
    await Promise.race([forth, back]);
    close(client, server);
    await Promise.all([forth, back]);
  };
  const serving = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const client of listener) {
      const one = serve(client).catch(() => close(client)).finally(() => serving.delete(one));
      serving.add(one);
    }
  })();

  const { port: ownPort } = listener.addr as Deno.NetAddr;
  return {
    url: `postgres://${url.username}@127.0.0.1:${ownPort}${url.pathname}`,
    cutNext: (cut, nth = 1) => pending = { cut, left: nth },
    [Symbol.asyncDispose]: async () => {
      listener.close();
      close(...open);
      await accepting;
      await Promise.allSettled([...serving]);
    },
  };
}

const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** Hands over what a connection says until it ends or `take` says no; a connection that was cut has ended. */
async function pump(connection: Deno.Conn, take: (chunk: Uint8Array) => Promise<boolean>): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const length = await connection.read(buffer);
      if (length === null || !await take(buffer.subarray(0, length))) return;
    }
  } catch {
    return;
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await connection.write(bytes.subarray(written));
  }
}
