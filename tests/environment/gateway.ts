/**
 * A gateway in this process on loopback, with a PKI of its own, upstream instances that say what they got, and clients with
 * or without certificates. Everything is in one temporary folder and closed by `close`.
 */

import https from "node:https";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { connect, type TLSSocket } from "node:tls";
import { stringify } from "yaml";
import { type Gateway, type GatewayDependencies, startGateway } from "gateway/app/gateway.ts";
import { createLogger } from "shared/base/log.ts";
import { type Authority, DAY_MS, makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue, type Issued } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";

/** The certificates of one test. */
export interface TestPki {
  readonly clients: Authority;
  readonly servers: Authority;
  readonly gateway: Issued;
  readonly upstream: Issued;
  readonly station: Issued;
  readonly manager: Issued;
  readonly revoked: Issued;
  readonly expired: Issued;
  readonly canary: Issued;
}

const LOOPBACK = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] };
let shared: Promise<TestPki> | undefined;

/** The PKI, made once for a test process. */
export function testPki(): Promise<TestPki> {
  return shared ??= makePki();
}

async function makePki(): Promise<TestPki> {
  const now = Date.now();
  const clients = await makeAuthority("test clients", { now });
  const servers = await makeAuthority("test servers", { now });
  const client = (name: string, uri: string, more = {}) =>
    issue(clients, { now, commonName: name, uris: [uri], ...more });
  return {
    clients,
    servers,
    gateway: await issue(servers, {
      now,
      commonName: "gateway",
      uris: ["urn:recovery-key:gateway:a"],
      usages: ["server", "client"],
      ...LOOPBACK,
    }),
    upstream: await issue(servers, {
      now,
      commonName: "upstream",
      uris: ["urn:recovery-key:attestation:a"],
      usages: ["server"],
      ...LOOPBACK,
    }),
    station: await client("station", "urn:recovery-key:station:a"),
    manager: await client("manager", "urn:recovery-key:batch-manager:a"),
    revoked: await client("revoked", "urn:recovery-key:station:gone"),
    expired: await client("expired", "urn:recovery-key:station:old", {
      notBefore: now - 9 * DAY_MS,
      notAfter: now - DAY_MS,
    }),
    canary: await client("canary", "urn:recovery-key:canary:valid"),
  };
}

/** An upstream instance over mutual TLS. */
export interface TestUpstream {
  readonly port: number;
  readonly url: string;
  readonly server: Server;
  /** Answers 503 on /readyz when false. */
  ready: boolean;
  /** Requests that were answered or are being answered, apart from /readyz. */
  requests: number;
  /** Destroys every connection and listens no more, as a killed process. */
  kill(): void;
  close(): Promise<void>;
}

/** Starts an instance; by default it answers with what it got. */
export async function startUpstream(listener: RequestListener = echo, port = 0): Promise<TestUpstream> {
  const pki = await testPki();
  const server = https.createServer({
    cert: pki.upstream.certificatePem,
    key: pki.upstream.privateKeyPem,
    ca: pki.servers.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
  }, (request, response) => {
    if (request.url === "/readyz") {
      return void response.writeHead(upstream.ready ? 200 : 503, { "content-length": "0" }).end();
    }
    upstream.requests++;
    listener(request, response);
  }) as unknown as Server;
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port }, resolve));
  const bound = (server.address() as { port: number }).port;
  const upstream: TestUpstream = {
    port: bound,
    url: `https://127.0.0.1:${bound}`,
    server,
    ready: true,
    requests: 0,
    kill: () => {
      server.close();
      server.closeAllConnections();
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return upstream;
}

/** Answers with method, target, headers and body of the request, as JSON. */
export const echo: RequestListener = async (request, response) => {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of request) parts.push(part);
  } catch {
    return;
  }
  const body = JSON.stringify({
    method: request.method,
    url: request.url,
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    body: new TextDecoder().decode(new Uint8Array(parts.flatMap((part) => [...part]))),
  });
  const length = String(new TextEncoder().encode(body).length);
  response.writeHead(200, { "content-type": "application/json", "content-length": length }).end(body);
};

/** A running gateway with its surroundings. */
export interface TestGateway {
  readonly gateway: Gateway;
  readonly port: number;
  readonly folder: string;
  readonly configPath: string;
  readonly pki: TestPki;
  /** Log lines so far. */
  readonly lines: Record<string, unknown>[];
  /** The admin listener's answer. */
  admin(path: string): Promise<{ status: number; text: string }>;
  close(): Promise<void>;
}

/** What a test changes: the configuration is edited before it is written. */
export interface TestGatewayOptions extends Partial<Omit<GatewayDependencies, "logger">> {
  readonly upstreams?: readonly { readonly url: string; readonly health?: string }[];
  readonly edit?: (config: TestConfig) => void;
}

/** The configuration as tests see it. */
// deno-lint-ignore no-explicit-any -- tests write wrong configurations on purpose
export type TestConfig = Record<string, any>;

/** Writes the files of a gateway; `edit` changes the configuration. */
export async function writeGatewayFiles(
  options: TestGatewayOptions = {},
): Promise<{ folder: string; path: string }> {
  const pki = await testPki();
  const folder = await Deno.makeTempDir({ prefix: "gateway-test-" });
  const put = async (name: string, issued: Issued) => {
    await Deno.writeTextFile(`${folder}/${name}.crt`, issued.certificatePem);
    await Deno.writeTextFile(`${folder}/${name}.key`, issued.privateKeyPem, { mode: 0o600 });
  };
  await put("gateway", pki.gateway);
  await put("canary-valid", pki.canary);
  await put("canary-expired", pki.expired);
  await put("canary-revoked", pki.revoked);
  await Deno.writeTextFile(`${folder}/clients.crt`, pki.clients.certificatePem);
  await Deno.writeTextFile(`${folder}/servers.crt`, pki.servers.certificatePem);
  await Deno.writeTextFile(
    `${folder}/clients.crl`,
    await makeCrl(pki.clients, { now: Date.now() - 1000, revoked: [pki.revoked.serialNumber] }),
  );
  const pair = (name: string) => ({ certificate: `${name}.crt`, key: `${name}.key` });
  const config: TestConfig = {
    listen: { address: "127.0.0.1", port: 0, ...pair("gateway") },
    admin: { address: "127.0.0.1", port: 0 },
    clients: { authorities: [{ certificate: "clients.crt", revocationList: "clients.crl" }] },
    canaries: {
      serverAuthority: "servers.crt",
      valid: pair("canary-valid"),
      expired: pair("canary-expired"),
      revoked: pair("canary-revoked"),
    },
    upstreams: {
      echo: {
        instances: options.upstreams ?? [{ url: "http://127.0.0.1:9" }],
        tls: {
          authorities: ["servers.crt"],
          ...pair("gateway"),
          serverIdentities: ["urn:recovery-key:attestation:*"],
        },
        health: { intervalMs: 100, timeoutMs: 5_000 },
      },
    },
    rateLimits: {},
    routes: [
      {
        name: "things",
        path: "/things/{thing}",
        methods: ["GET", "POST", "PUT"],
        contentTypes: ["application/json"],
        identities: ["urn:recovery-key:station:*"],
        maxBodyBytes: 1_000,
        repeatWithKey: true,
        upstream: "echo",
      },
      {
        name: "batches",
        path: "/batches",
        methods: ["POST"],
        contentTypes: ["application/json"],
        identities: ["urn:recovery-key:batch-manager:*"],
        upstream: "echo",
      },
    ],
    log: { level: "info" },
  };
  options.edit?.(config);
  const path = `${folder}/gateway.yaml`;
  await Deno.writeTextFile(path, stringify(config));
  return { folder, path };
}

/** Starts a gateway in this process. */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { folder, path } = await writeGatewayFiles(options);
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger("gateway", { level: "debug", write: (line) => lines.push(JSON.parse(line)) });
  const { upstreams: _, edit: __, ...dependencies } = options;
  let gateway: Gateway;
  try {
    gateway = await startGateway(path, { logger, ...dependencies });
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return {
    gateway,
    port: Number(gateway.listen.split(":").at(-1)),
    folder,
    configPath: path,
    pki: await testPki(),
    lines,
    admin: async (target) => {
      const response = await fetch(`http://${gateway.admin}${target}`);
      return { status: response.status, text: await response.text() };
    },
    close: async () => {
      await gateway.drain();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** An HTTP answer as a client saw it; status 0 and a code when there was none. */
export interface Seen {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  readonly code?: string;
}

/** What to ask for. */
export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly as?: Issued | null;
  readonly agent?: https.Agent;
}

/** A keep-alive agent with a certificate. */
export async function clientAgent(as: Issued | null, maxSockets = 16): Promise<https.Agent> {
  const pki = await testPki();
  return new https.Agent({
    keepAlive: true,
    maxSockets,
    ca: pki.servers.certificatePem,
    ...(as === null ? {} : { cert: as.certificatePem, key: as.privateKeyPem }),
  });
}

/** Sends one request, on a connection of its own unless an agent is given. */
export async function ask(port: number, what: Ask = {}): Promise<Seen> {
  const pki = await testPki();
  const as = what.as === undefined ? pki.station : what.as;
  const agent = what.agent ?? await clientAgent(as);
  const body = what.body;
  const seen = await new Promise<Seen>((resolve) => {
    const request = https.request({
      agent,
      host: "127.0.0.1",
      port,
      method: what.method ?? "GET",
      path: what.path ?? "/things/1",
      headers: {
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(body.length) }),
        ...what.headers,
      },
    }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => text += part);
      response.on(
        "end",
        () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
      response.on("error", () => resolve({ status: 0, headers: {}, text, code: "BROKEN_OFF" }));
    });
    // Else the runtime would send a lost request again and hide what the gateway did (denoland/deno#36786).
    request.once("socket", () => request.reusedSocket = false);
    request.on(
      "error",
      (error: NodeJS.ErrnoException) =>
        resolve({ status: 0, headers: {}, text: "", code: error.code ?? "ERROR" }),
    );
    request.end(body);
  });
  if (what.agent === undefined) agent.destroy();
  return seen;
}

/** Opens a TLS connection with a certificate, for bytes that no HTTP client would send. */
export async function rawClient(port: number, as?: Issued | null): Promise<TLSSocket> {
  const pki = await testPki();
  const issued = as === undefined ? pki.station : as;
  return await new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ca: pki.servers.certificatePem,
      ...(issued === null ? {} : { cert: issued.certificatePem, key: issued.privateKeyPem }),
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** Sends bytes and collects the answer until the other side closes, or `done` says that it is enough. */
export async function exchangeRaw(
  port: number,
  text: string,
  done: (received: string) => boolean = () => false,
): Promise<{ received: string; closed: boolean }> {
  const socket = await rawClient(port);
  return await new Promise((resolve) => {
    let received = "";
    const end = (closed: boolean) => {
      socket.destroy();
      resolve({ received, closed });
    };
    socket.on("data", (part: Uint8Array) => {
      received += new TextDecoder("latin1").decode(part);
      if (done(received)) end(false);
    });
    socket.once("close", () => end(true));
    // An empty write makes this runtime's client miss the close that follows.
    if (text !== "") socket.write(text, "latin1");
  });
}
