/** The canaries' side of the wire: one connection each, with a certificate or without, new or resumed. */

import { createServer } from "node:https";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { connect } from "node:tls";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";

/** A certificate with its key, PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** Where the gateway listens, as its own clients see it. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** Name in the server's certificate; undefined: the host itself. */
  readonly serverName: string | undefined;
  /** Authority of the server's certificate, PEM. */
  readonly serverAuthority: string;
}

/** What a canary saw. `status` is undefined when it got no HTTP answer. */
export interface CanarySight {
  /** Its own port, by which the gateway's record of the connection is found; undefined when it cannot be known. */
  readonly localPort: number | undefined;
  readonly status: number | undefined;
}

/** A canary that waits longer than this got no answer. */
const PATIENCE_MS = 10_000;

/** Connects with a new session and asks for `/`. */
export function connectCanary(
  target: Target,
  keys: KeyPair | undefined,
  version: "TLSv1.2" | "TLSv1.3",
): Promise<CanarySight> {
  return new Promise((resolve) => {
    let localPort: number | undefined;
    let received = "";
    const socket = connect({
      host: target.host,
      port: target.port,
      servername: target.serverName ?? "",
      ca: target.serverAuthority,
      // Its own gateway on its own address: what is proven is the other direction.
      checkServerIdentity: () => undefined,
      minVersion: version,
      maxVersion: version,
      ...(keys === undefined ? {} : { cert: keys.certificate, key: keys.key }),
    });
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
    socket.once("connect", () => localPort = socket.localPort);
    socket.once("secureConnect", () => {
      localPort ??= socket.localPort;
      socket.write("GET / HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (part: Uint8Array) => received += new TextDecoder().decode(part));
    socket.on("error", () => {});
    socket.once("close", () => {
      clearTimeout(timer);
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(received)?.[1];
      resolve({ localPort, status: status === undefined ? undefined : Number(status) });
    });
  });
}

/**
 * Gets a session ticket from a second server in this process, which trusts `foreignAuthority`, and resumes that session at
 * the gateway. `node:tls` clients cannot resume in this runtime; fetch can, by the server's name, so both connections
 * go to one address: the first ends at the second server, the next is passed on to the gateway byte by byte.
 * @param foreign Address that is borrowed for this moment.
 * @throws {CodedError} `GATEWAY_CANARY` when no ticket was had, so that nothing was tried; `GATEWAY_LISTEN`.
 */
export async function resumeCanary(
  target: Target,
  keys: KeyPair,
  server: KeyPair,
  foreignAuthority: string,
  foreign: { readonly host: string; readonly port: number },
): Promise<CanarySight> {
  const second = createServer({
    cert: server.certificate,
    key: server.key,
    ca: foreignAuthority,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ["http/1.1"],
  }, (_request, response) => {
    response.writeHead(204, { connection: "close" }).end();
  });
  let toGateway = false;
  const open = new Set<Socket>();
  const front = createTcpServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => open.delete(socket));
    if (!toGateway) return void second.emit("connection", socket);
    const onward = connectTcp(target.port, target.host);
    open.add(onward);
    onward.on("error", () => socket.destroy());
    onward.once("close", () => open.delete(onward));
    socket.pipe(onward).pipe(socket);
    socket.once("close", () => onward.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    front.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${foreign.host}:${foreign.port}`;
      reject(new CodedError("GATEWAY_LISTEN", `Cannot listen on ${where}: ${error.code ?? error.message}`));
    });
    front.listen({ host: foreign.host, port: foreign.port }, resolve);
  });
  const address = front.address();
  const port = typeof address === "object" && address !== null ? address.port : foreign.port;
  using client = Deno.createHttpClient({
    caCerts: [target.serverAuthority],
    cert: keys.certificate,
    key: keys.key,
    http2: false,
    poolMaxIdlePerHost: 0,
    ...(target.serverName === undefined ? {} : { proxy: { transport: "tcp", hostname: foreign.host, port } }),
  });
  const host = target.serverName ?? (foreign.host.includes(":") ? `[${foreign.host}]` : foreign.host);
  const ask = async (): Promise<number> => {
    const response = await fetch(`https://${host}:${port}/`, {
      client,
      headers: { connection: "close" },
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await response.body?.cancel();
    return response.status;
  };
  try {
    try {
      await ask();
    } catch (error) {
      throw new CodedError(
        "GATEWAY_CANARY",
        "Cannot prove that resumed sessions are refused: the canary got no session from its second server; " +
          "check canaries.serverAuthority and canaries.serverName",
        {},
        error,
      );
    }
    toGateway = true;
    return { localPort: undefined, status: await ask().catch(() => undefined) };
  } finally {
    for (const socket of open) socket.destroy();
    await new Promise<void>((resolve) => front.close(() => resolve()));
  }
}
