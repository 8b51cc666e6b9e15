/** A running instance with a PKI of its own, and gateways that speak to it, for tests. */

import { stringify } from "yaml";
import { createLogger } from "shared/base/log.ts";
import { toUtf8 } from "shared/base/bytes.ts";
import { type Authority, makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue, type IssueOptions } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { freshNonce, signRequest } from "shared/protocol/wire/http_signature.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { makeSender, type TestSender } from "./service.ts";
import type { Backends } from "./backends.ts";
import { parseAttestationConfig } from "factory/app/attestation_config.ts";
import { type RunningAttestation, startAttestation } from "factory/app/attestation_process.ts";

/** Authorities and names of a test. */
export interface TestPki {
  readonly folder: string;
  readonly internal: Authority;
  readonly client: Authority;
  readonly revokedSerial: string;
  /** PEM of a gateway's client certificate. */
  readonly gateway: { cert: string; key: string };
  /** DER of senders' certificates by name. */
  readonly certificates: Readonly<Record<string, Uint8Array>>;
}

/** Senders of the tests. */
export interface TestSenders {
  readonly station: TestSender;
  readonly other: TestSender;
  readonly manager: TestSender;
}

/** Draws the senders' keys. */
export async function makeSenders(): Promise<TestSenders> {
  return {
    station: await makeSender("line-1", "station"),
    other: await makeSender("line-2", "station"),
    manager: await makeSender("office", "batch-manager"),
  };
}

/** A client certificate of an authority, as Deno's HTTP client takes it. */
export async function clientOf(
  authority: Authority,
  uri: string,
  more: Partial<IssueOptions> = {},
): Promise<{ cert: string; key: string; der: Uint8Array; serial: string }> {
  const issued = await issue(authority, { now: Date.now(), commonName: "test", uris: [uri], ...more });
  return {
    cert: issued.certificatePem,
    key: issued.privateKeyPem,
    der: new Uint8Array(issued.certificate.rawData),
    serial: issued.serialNumber,
  };
}

/** Makes authorities, certificates and lists in a temporary folder. */
export async function makePki(): Promise<TestPki> {
  const now = Date.now();
  const folder = await Deno.makeTempDir({ prefix: "rk-attestation-pki-" });
  const internal = await makeAuthority("test internal", { now });
  const client = await makeAuthority("test clients", { now });
  const server = await issue(internal, {
    now,
    commonName: "attestation",
    uris: ["urn:recovery-key:attestation:a"],
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    usages: ["server"],
  });
  const of = (uri: string, more = {}) => clientOf(client, `urn:recovery-key:${uri}`, more);
  const revoked = await of("station:line-1");
  const certificates = {
    "line-1": (await of("station:line-1")).der,
    "line-2": (await of("station:line-2")).der,
    office: (await of("batch-manager:office")).der,
    stranger: (await of("station:stranger")).der,
    "wrong-role": (await of("batch-manager:line-1")).der,
    expired: (await of("station:line-1", { notBefore: now - 2000, notAfter: now - 1000 })).der,
    revoked: revoked.der,
    foreign: (await clientOf(internal, "urn:recovery-key:station:line-1")).der,
  };
  const files = {
    "server.crt": server.certificatePem,
    "server.key": server.privateKeyPem,
    "internal.crt": internal.certificatePem,
    "client.crt": client.certificatePem,
    "internal.crl": await makeCrl(internal, { now, revoked: [] }),
    "client.crl": await makeCrl(client, { now, revoked: [revoked.serial] }),
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
  }
  const gateway = await clientOf(internal, "urn:recovery-key:gateway:a");
  return { folder, internal, client, revokedSerial: revoked.serial, gateway, certificates };
}

/** Text of a configuration file in the PKI's folder. */
export function configText(
  backends: Pick<Backends, "url" | "hsmConfig">,
  senders: TestSenders,
  change: Record<string, unknown> = {},
): string {
  return stringify({
    name: "attestation-test",
    listen: "127.0.0.1:0",
    admin: "127.0.0.1:0",
    tls: {
      certificate: "server.crt",
      key: "server.key",
      gateways: { authority: "internal.crt", revocationList: "internal.crl" },
      senders: { authority: "client.crt", revocationList: "client.crl" },
    },
    database: { url: backends.url },
    hsm: backends.hsmConfig,
    senders: Object.values(senders).map((sender: TestSender) => sender.configured),
    serials: { first: "00000001", last: "FFFFFFFF" },
    hostCertificates: { enabled: true },
    ...change,
  });
}

/** Starts an instance in this process. */
export async function startInstance(
  pki: TestPki,
  backends: Backends,
  senders: TestSenders,
  change: Record<string, unknown> = {},
  write: (line: string) => void = () => {},
): Promise<RunningAttestation & AsyncDisposable> {
  const config = parseAttestationConfig(
    `${pki.folder}/attestation.yaml`,
    configText(backends, senders, change),
  );
  const running = await startAttestation(config, createLogger("attestation", { level: "debug", write }));
  return { ...running, [Symbol.asyncDispose]: () => running.stop() };
}

/** What a test changes in a request that is otherwise right. */
export interface RequestChange {
  readonly method?: string;
  /** Path that is signed, when it is not the one that is sent. */
  readonly signedPath?: string;
  readonly query?: string;
  readonly certificate?: Uint8Array | null;
  readonly contentType?: string;
  readonly created?: number;
  readonly nonce?: string;
  readonly keyId?: string;
  readonly key?: JsonWebKey;
  /** Body as sent, when it is not the one that is signed. */
  readonly sentBody?: string;
  /** Body as signed and sent, when it is not JSON of the value. */
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly dropHeaders?: readonly string[];
}

/** A gateway that passes on whatever a test wants. */
export class TestGateway implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #base: string;
  readonly #pki: TestPki;

  constructor(pki: TestPki, listen: string, identity?: { cert: string; key: string } | null) {
    const client = identity === undefined ? pki.gateway : identity;
    this.#client = Deno.createHttpClient({
      caCerts: [pki.internal.certificatePem],
      ...(client === null ? {} : client),
    });
    this.#base = `https://${listen}`;
    this.#pki = pki;
  }

  /** Sends a signed request of a sender. */
  async post(
    sender: TestSender,
    path: string,
    value: unknown,
    change: RequestChange = {},
  ): Promise<Response> {
    const { name } = sender.configured;
    const body = change.body ?? JSON.stringify(value);
    const signed = await signRequest({
      method: "POST",
      path: change.signedPath ?? path,
      body: toUtf8(body),
      contentType: change.contentType,
      keyId: change.keyId ?? name,
      privateKey: change.key ?? sender.signingKey,
      nonce: change.nonce ?? freshNonce(SYSTEM_RANDOM),
      created: change.created ?? Math.floor(Date.now() / 1000),
    });
    const certificate = change.certificate === undefined ? this.#pki.certificates[name] : change.certificate;
    const headers: Record<string, string> = {
      ...signed,
      ...(certificate ? { "client-cert": `:${certificate.toBase64()}:` } : {}),
      ...change.headers,
    };
    for (const header of change.dropHeaders ?? []) delete headers[header];
    return await fetch(this.#base + path + (change.query ?? ""), {
      method: change.method ?? "POST",
      headers,
      body: change.sentBody ?? body,
      client: this.#client,
    });
  }

  /** Sends a request without a body. */
  get(path: string, certificate?: Uint8Array, more: Record<string, string> = {}): Promise<Response> {
    const headers = { ...more, ...(certificate ? { "client-cert": `:${certificate.toBase64()}:` } : {}) };
    return fetch(this.#base + path, { headers, client: this.#client });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
