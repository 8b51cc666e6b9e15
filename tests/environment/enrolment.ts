/**
 * An enrolment process in this process, with token, database, bootstrap authority and canaries of its own, and real clients: openssl
 * makes the requests and reads the answers, curl sends them.
 */

import { stringify } from "yaml";
import { startEnrolment } from "gateway/app/enrol.ts";
import { foundAuthority } from "gateway/service/enrolment_issuer.ts";
import { createLogger } from "shared/base/log.ts";
import { type Authority, certificatePem, DAY_MS, makeAuthority } from "shared/protocol/x509/authority.ts";
import { issue, type IssueOptions } from "shared/protocol/x509/certificate.ts";
import { makeCrl } from "shared/protocol/x509/revocation.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { TestConfig } from "./gateway.ts";
import { type BackendKind, openTokenAndDatabase, type TokenAndDatabase } from "./token_and_database.ts";

/** The surroundings of one test. */
export interface TestEnrolment extends AsyncDisposable {
  readonly folder: string;
  readonly configPath: string;
  readonly port: number;
  /** `http://host:port/issued.crl`. */
  readonly listUrl: string;
  readonly databaseUrl: string;
  readonly databaseOutage: TokenAndDatabase["databaseOutage"];
  readonly bootstrap: Authority;
  readonly lines: Record<string, unknown>[];
  readonly process: Awaited<ReturnType<typeof startEnrolment>>;
  /** Writes `NAME.crt` and `NAME.key` of a bootstrap certificate. */
  bootstrapFor(name: string, uri: string, more?: Partial<IssueOptions>, from?: Authority): Promise<void>;
  /** Makes `NAME.key` and `NAME.csr` with openssl; `extra` are arguments of `openssl req`. Returns the body (base64). */
  request(name: string, extra: readonly string[], key?: readonly string[]): Promise<string>;
  /** Sends with curl, as the client NAME. */
  send(
    as: string | null,
    path: string,
    more?: readonly string[],
  ): Promise<{ status: number; body: string; headers: string }>;
  /** POSTs a request. */
  post(
    as: string,
    path: string,
    body: string,
    more?: readonly string[],
  ): Promise<{ status: number; body: string; headers: string }>;
  /** Turns an answer into `NAME.crt` with `openssl pkcs7`; returns what `openssl x509 -text` says of it. */
  accept(name: string, body: string): Promise<string>;
  openssl(...args: string[]): Promise<{ code: number; output: string }>;
}

const decoder = new TextDecoder();

/** Starts one. */
export async function startTestEnrolment(
  kind: BackendKind = "pglite and software HSM",
  edit: (config: TestConfig) => void = () => {},
): Promise<TestEnrolment> {
  await using started = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "rk-enrol-" });
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const backends = started.use(await openTokenAndDatabase(kind, `${folder}/backends`));
  const now = Date.now();
  const bootstrap = await makeAuthority("test bootstrap", { now });
  const servers = await makeAuthority("test servers", { now });
  const put = async (name: string, from: Authority, options: Omit<IssueOptions, "now">) => {
    const issued = await issue(from, { now, ...options });
    await Deno.writeTextFile(`${folder}/${name}.crt`, issued.certificatePem);
    await Deno.writeTextFile(`${folder}/${name}.key`, issued.privateKeyPem, { mode: 0o600 });
    return issued;
  };
  const canary = (kind: string, more: Partial<IssueOptions> = {}) =>
    put(`canary-${kind}`, bootstrap, {
      commonName: kind,
      uris: [`urn:recovery-key:canary:${kind}`],
      ...more,
    });
  await put("server", servers, {
    commonName: "enrolment",
    usages: ["server"],
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
  });
  await canary("valid");
  await canary("expired", { notBefore: now - 3 * DAY_MS, notAfter: now - DAY_MS });
  const revoked = await canary("revoked");
  await Deno.writeTextFile(`${folder}/bootstrap.crt`, bootstrap.certificatePem);
  await Deno.writeTextFile(`${folder}/servers.crt`, servers.certificatePem);
  await Deno.writeTextFile(
    `${folder}/bootstrap.crl`,
    await makeCrl(bootstrap, { now: now - 1000, revoked: [revoked.serialNumber] }),
  );
  const hsm = await backends.openHsm();
  try {
    const fields = { label: "enrolment-issuer", name: "test issued", now, days: 30 };
    await Deno.writeTextFile(
      `${folder}/issued.crt`,
      certificatePem(await foundAuthority(hsm, fields, SYSTEM_RANDOM)),
    );
  } finally {
    await hsm.close();
  }
  const pair = (name: string) => ({ certificate: `${name}.crt`, key: `${name}.key` });
  const config: TestConfig = {
    listen: { address: "127.0.0.1", port: 0, ...pair("server") },
    publication: { address: "127.0.0.1", port: 0 },
    clients: {
      authorities: [{ name: "bootstrap", certificate: "bootstrap.crt", revocationList: "bootstrap.crl" }],
    },
    canaries: {
      serverAuthority: "servers.crt",
      valid: pair("canary-valid"),
      expired: pair("canary-expired"),
      revoked: pair("canary-revoked"),
    },
    issuer: { certificate: "issued.crt" },
    hsm: backends.hsmConfig,
    database: { url: backends.url },
    grants: {
      stations: {
        authorities: ["bootstrap"],
        bootstrap: "urn:recovery-key:bootstrap:station:*",
        identity: "urn:recovery-key:station:*",
        lifetimeHours: 24,
      },
    },
  };
  edit(config);
  const configPath = `${folder}/enrol.yaml`;
  await Deno.writeTextFile(configPath, stringify(config));
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger("enrolment", { level: "debug", write: (line) => lines.push(JSON.parse(line)) });
  const process = await startEnrolment(configPath, logger);
  started.defer(() => process.stop());
  const port = Number(process.listen.split(":").at(-1));

  const run = async (program: string, args: readonly string[]) => {
    const result = await new Deno.Command(program, { args: [...args], cwd: folder, stdin: "null" }).output();
    return { code: result.code, output: decoder.decode(result.stdout) + decoder.decode(result.stderr) };
  };
  const must = async (...args: string[]) => {
    const { code, output } = await run("openssl", args);
    if (code !== 0) throw new Error(`openssl ${args.join(" ")}: ${output}`);
    return output;
  };
  const send: TestEnrolment["send"] = async (as, path, more = []) => {
    const { code, output } = await run("curl", [
      ...["--silent", "--show-error", "--cacert", "servers.crt", "--http1.1", "--max-time", "60"],
      ...(as === null ? [] : ["--cert", `${as}.crt`, "--key", `${as}.key`]),
      ...["--dump-header", "headers.txt", "--output", "body.txt", "--write-out", "%{http_code}"],
      ...more,
      `https://127.0.0.1:${port}/.well-known/est/${path}`,
    ]);
    if (code !== 0) return { status: 0, body: output, headers: "" };
    return {
      status: Number(output.slice(0, 3)),
      body: await Deno.readTextFile(`${folder}/body.txt`),
      headers: (await Deno.readTextFile(`${folder}/headers.txt`)).toLowerCase(),
    };
  };
  const owned = started.move();
  return {
    folder,
    configPath,
    port,
    listUrl: `http://${process.publication}/issued.crl`,
    databaseUrl: backends.url,
    databaseOutage: backends.databaseOutage,
    bootstrap,
    lines,
    process,
    bootstrapFor: async (name, uri, more = {}, from = bootstrap) => {
      await put(name, from, { commonName: name, uris: [uri], ...more });
    },
    request: async (name, extra, key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]) => {
      if (key.length > 0) await must("genpkey", "-algorithm", ...key, "-out", `${name}.key`);
      await must("req", "-new", "-key", `${name}.key`, "-outform", "DER", "-out", `${name}.der`, ...extra);
      return await must("base64", "-in", `${name}.der`);
    },
    send,
    post: async (as, path, body, more = []) => {
      await Deno.writeTextFile(`${folder}/request.b64`, body);
      const type = ["--header", "Content-Type: application/pkcs10"];
      return await send(as, path, [...type, ...more, "--data-binary", "@request.b64"]);
    },
    accept: async (name, body) => {
      await Deno.writeTextFile(`${folder}/answer.b64`, body);
      await must("base64", "-d", "-in", "answer.b64", "-out", "answer.p7");
      await must("pkcs7", "-inform", "DER", "-in", "answer.p7", "-print_certs", "-out", `${name}.crt`);
      return await must("x509", "-in", `${name}.crt`, "-noout", "-text");
    },
    openssl: (...args) => run("openssl", args),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
