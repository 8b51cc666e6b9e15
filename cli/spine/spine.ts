/**
 * A local spine: two gateways, two attestation services, a token and a database, each service a process of its own under
 * its permission set. `rk demo` and the tests start one for themselves; `rk spine start` keeps one for other commands.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { type Child, type ChildSpec, startChild } from "../process/child.ts";
import type { Substitution } from "../process/permissions.ts";
import { settled } from "../process/settled.ts";
import { writePrivate } from "../paths.ts";
import { openToken, type OwnPostgres, ownPostgres, type Token } from "./backends.ts";
import { writeConfigurations } from "./configurations.ts";
import { layDatabase } from "./database_template.ts";
import { provisionEventLogs } from "./event_logs.ts";
import {
  type Endpoint,
  freeAddresses,
  SPINE_FOLDERS,
  type SpineAddresses,
  STANDARD,
  STANDARD_FOLDER,
  STANDARD_LIMIT_STORE,
  STANDARD_RECOVER,
  STANDARD_REVOCATION,
  STANDARD_TRACING,
} from "./layout.ts";
import { provisionPki } from "./pki.ts";
import { provisionSenderKeys } from "./sender_keys.ts";
import type { DatabaseProxy } from "./recover/backends.ts";
import type { SessionTimes } from "./recover/configurations.ts";
import { freeRecoverAddresses, RECOVER_FOLDERS, type RecoverAddresses } from "./recover/layout.ts";
import { GATEWAY_ENGINE } from "../gateway/spec.ts";
import { recoverDocuments, recoverSections } from "./recover/gateway.ts";
import { recoverLeaves } from "./recover/pki.ts";
import { type RecoverServices, startRecover } from "./recover/services.ts";
import { updateDocuments, updateSections } from "./update/gateway.ts";
import { freeUpdateAddresses, UPDATE_FOLDERS, type UpdateAddresses } from "./update/layout.ts";
import { updateLeaves } from "./update/pki.ts";
import { startUpdate } from "./update/services.ts";

/** How to start a spine. */
export interface SpineOptions {
  /** Its folder, absolute; made when it is not there, kept otherwise. */
  readonly folder: string;
  /** SoftHSM2 and PostgreSQL instead of the embedded ones. */
  readonly real?: boolean;
  /** The gateways know Recover's services, and `startRecover` starts them. */
  readonly recover?: boolean;
  /** The gateways know the update service, and `startUpdate` starts it with a repository of releases. */
  readonly update?: boolean;
  /** How long Recover's sessions are left alone (tests of kills). */
  readonly recoverTimes?: SessionTimes;
  /** It lives for less than a minute: its embedded databases are compiled quickly, not for speed. */
  readonly brief?: boolean;
  /** The processes outlive this command. */
  readonly outlives?: boolean;
  /** Loaded first in every process (tests of permissions). */
  readonly preload?: string;
  /** What is being done, for people. */
  readonly tell?: (line: string) => void;
  /**
   * With `real`: stands between the services and PostgreSQL (tests of kills), is given the server and whose it is
   * (`attestation`, `orchestrator`, `provider-1` ...), and returns the `host:port` that the services use, without TLS;
   * undefined: nothing stands between.
   */
  readonly databaseProxy?: DatabaseProxy;
}

/** What other commands need of a running spine: `spine.json` in its folder. */
export interface SpineDescriptor {
  readonly version: 1;
  readonly folder: string;
  readonly real: boolean;
  readonly addresses: SpineAddresses;
  /** PostgreSQL address of the database. */
  readonly databaseUrl: string;
  readonly processes: Readonly<Record<string, number>>;
  readonly stationFile: string;
  readonly batchManagerFile: string;
  /** Where Recover's services are, when they run. */
  readonly recover?: RecoverAddresses;
  /** Where the update service is, when it runs. */
  readonly update?: UpdateAddresses;
}

/** A running spine. */
export interface Spine {
  readonly descriptor: SpineDescriptor;
  readonly token: Token;
  /** Environment with which psql and pg_dump reach the database, when it is PostgreSQL. */
  readonly psqlEnv?: Readonly<Record<string, string>>;
  /** The server, when it is PostgreSQL. */
  readonly postgres?: OwnPostgres;
  /**
   * Running processes by name: `gateway-a`, `gateway-b`, `attestation-a`, `attestation-b`, `database`; of Recover
   * `orchestrator-a`, `provider-1-a`, `provider-1-a-vault`, `provider-1-database` and the like.
   */
  readonly children: ReadonlyMap<string, Child>;
  /** Starts Recover's services; once, in a spine that was started with `recover`. */
  startRecover(): Promise<RecoverServices>;
  /** Starts the update service, its vault and the repository; once, in a spine that was started with `update`. */
  startUpdate(): Promise<void>;
  /** Starts a process again, after it was stopped or killed. */
  restart(name: string): Promise<void>;
  /** Stops everything that was started. */
  stop(): Promise<void>;
  /** Lets other commands find it, as long as it runs. */
  publish(): Promise<void>;
  /** Leaves the processes running when this command ends. */
  release(): Promise<void>;
}

/** Starts a spine and waits until every process serves. What was started is stopped again when one does not. */
export async function startSpine(options: SpineOptions): Promise<Spine> {
  const { folder, real = false } = options;
  const tell = options.tell ?? (() => {});
  const recover = options.recover ? freeRecoverAddresses() : undefined;
  const update = options.update ? freeUpdateAddresses() : undefined;
  for (
    const name of [...SPINE_FOLDERS, ...(recover ? RECOVER_FOLDERS : []), ...(update ? UPDATE_FOLDERS : [])]
  ) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true, mode: 0o700 });
  }
  const addresses = freeAddresses();
  const logger = await fileLogger(`${folder}/logs/spine.log`);
  const children = new Map<string, Child>();
  const specs = new Map<string, ChildSpec>();
  let token: Token | undefined;
  let postgres: OwnPostgres | undefined;
  let recovering: Promise<RecoverServices> | undefined;
  const stop = async () => {
    const isDatabase = (name: string) => name.endsWith("database");
    const end = (databases: boolean) =>
      Promise.all(
        [...children].filter(([name]) => isDatabase(name) === databases).map(([, each]) => each.stop()),
      );
    await recovering?.catch(() => {});
    await end(false);
    await end(true);
    await (await recovering?.catch(() => {}))?.stop();
    await postgres?.stop();
    await token?.hsm.close();
  };
  try {
    tell("certificates and keys");
    await provisionPki(folder, Date.now(), [
      ...(recover ? recoverLeaves() : []),
      ...(update ? updateLeaves() : []),
    ]);
    const senders = {
      station: await provisionSenderKeys(`${folder}/station`),
      batchManager: await provisionSenderKeys(`${folder}/batch-manager`),
    };
    token = await openToken(folder, real, logger);
    tell("database");
    if (real) postgres = await ownPostgres(folder);
    else {
      const spec = await laidDatabase(options, "database", `${folder}/database`, addresses.database);
      specs.set("database", spec);
      children.set("database", await startChild(spec));
    }
    const proxy = postgres && await options.databaseProxy?.(postgres, "attestation");
    const databaseUrl = proxy === undefined
      ? postgres?.url ?? `postgres://postgres@${addresses.database}/postgres`
      : `postgres://${new URL(postgres!.url).username}@${proxy}${new URL(postgres!.url).pathname}`;
    const tls = proxy === undefined ? postgres?.tls : undefined;
    await writeConfigurations(
      folder,
      addresses,
      {
        databaseUrl,
        ...(tls
          ? { databaseTls: { authority: tls.caFile, certificate: tls.certFile, key: tls.keyFile } }
          : {}),
        hsm: token.configuration,
      },
      senders,
      await provisionEventLogs(folder, token.hsm),
      [
        ...(recover ? [{ documents: recoverDocuments(), sections: recoverSections(recover) }] : []),
        ...(update ? [{ documents: updateDocuments(), sections: updateSections(update) }] : []),
      ],
    );
    const services = serviceSpecs(options, addresses, token, databaseUrl, tls, [
      ...(recover ? upstreamsOf(recover) : []),
      ...(update ? [update.service.listen, update.service.admin, update.releases] : []),
    ]);
    for (const [name, spec] of Object.entries(services)) specs.set(name, spec);
    tell("attestation services and gateways");
    const startOne = async (name: string) => {
      children.set(name, await startChild(specs.get(name)!));
    };
    await settled([
      // The first service brings the schema up to date; the other finds it done.
      startOne("attestation-a").then(() => startOne("attestation-b")),
      startOne("gateway-a"),
      startOne("gateway-b"),
    ]);
    const descriptor: SpineDescriptor = {
      version: 1,
      folder,
      real,
      addresses,
      databaseUrl,
      get processes() {
        return Object.fromEntries([...children].map(([name, child]) => [name, child.pid]));
      },
      stationFile: `${folder}/station/station.yaml`,
      batchManagerFile: `${folder}/batch-manager/client.yaml`,
      ...(recover ? { recover } : {}),
      ...(update ? { update } : {}),
    };
    return {
      descriptor,
      token,
      ...(postgres ? { psqlEnv: postgres.psqlEnv, postgres } : {}),
      children,
      async startRecover() {
        if (!recover) throw new CodedError("SPINE_PROCESS", "Cannot start Recover: this spine has none");
        return await (recovering ??= startRecover({
          folder,
          real,
          gateways: addresses,
          addresses: recover,
          spec: (name, spec) => ({ ...spec, ...common(options, name) }),
          databaseSpec: (name, directory, address) => laidDatabase(options, name, directory, address),
          children,
          specs,
          ...(options.databaseProxy ? { databaseProxy: options.databaseProxy } : {}),
          ...(options.recoverTimes ? { times: options.recoverTimes } : {}),
        }));
      },
      async startUpdate() {
        if (!update || !token) {
          throw new CodedError("SPINE_PROCESS", "Cannot start updates: this spine has none");
        }
        await startUpdate({
          folder,
          gateways: addresses,
          addresses: update,
          token,
          spec: (name, spec) => ({ ...spec, ...common(options, name) }),
          children,
          specs,
        });
      },
      async restart(name) {
        const spec = specs.get(name);
        if (!spec) throw new CodedError("SPINE_PROCESS", `Cannot start ${name}: a spine has no such process`);
        children.set(name, await startChild(spec));
      },
      stop,
      publish: () => writePrivate(`${folder}/spine.json`, JSON.stringify(descriptor, null, 2)),
      async release() {
        await token?.hsm.close();
        for (const child of children.values()) child.release();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function fileLogger(path: string): Promise<Logger> {
  const file = await Deno.open(path, { create: true, append: true, mode: 0o600 });
  file.close();
  return createLogger("rk", {
    write: (line) => Deno.writeTextFileSync(path, `${line}\n`, { append: true }),
  });
}

type Common = Pick<ChildSpec, "outlives" | "preload" | "logFile">;

function common(options: SpineOptions, name: string): Common {
  return {
    logFile: `${options.folder}/logs/${name}.log`,
    ...(options.outlives ? { outlives: true } : {}),
    ...(options.preload ? { preload: options.preload } : {}),
  };
}

/** An embedded database, laid as a copy of an empty one when it is new. */
async function laidDatabase(
  options: SpineOptions,
  name: string,
  directory: string,
  address: string,
): Promise<ChildSpec> {
  await layDatabase(directory, (other) => databaseSpec(options, name, other, "127.0.0.1:0"));
  return databaseSpec(options, name, directory, address);
}

function databaseSpec(options: SpineOptions, name: string, directory: string, address: string): ChildSpec {
  return {
    ...common(options, name),
    name,
    module: "shared/transport/pglite/main.ts",
    // Half the work of a short life is the optimizing compiler's.
    ...(options.brief ? { engine: "--liftoff-only" } : {}),
    permissions: "database",
    substitution: {
      [STANDARD_FOLDER]: options.folder,
      [`${STANDARD_FOLDER}/database`]: directory,
      [STANDARD.database]: address,
    },
    args: ["--directory", directory, "--listen", address],
  };
}

/** Standard addresses and folders of instance A, exchanged for those of an instance. */
function instanceSubstitution(
  folder: string,
  kind: "gateway" | "attestation",
  instance: "a" | "b",
  own: Endpoint,
): Record<string, string> {
  const standard = kind === "gateway" ? STANDARD.gatewayA : STANDARD.attestationA;
  return {
    [STANDARD_FOLDER]: folder,
    [`${STANDARD_FOLDER}/${kind}-a`]: `${folder}/${kind}-${instance}`,
    [`${STANDARD_FOLDER}/event-logs/gateway-a`]: `${folder}/event-logs/gateway-${instance}`,
    [standard.listen]: own.listen,
    [standard.admin]: own.admin,
  };
}

function serviceSpecs(
  options: SpineOptions,
  addresses: SpineAddresses,
  token: Token,
  databaseUrl: string,
  tls: OwnPostgres["tls"],
  upstreams: readonly string[],
): Record<string, ChildSpec> {
  const { folder } = options;
  const peers: Record<string, string | string[]> = {
    [STANDARD_REVOCATION]: [],
    [STANDARD_LIMIT_STORE]: [],
    [STANDARD_TRACING]: [],
    [STANDARD_RECOVER]: [...upstreams],
    [STANDARD.attestationB.listen]: addresses.attestationB.listen,
    [STANDARD.attestationB.admin]: addresses.attestationB.admin,
  };
  const specs: Record<string, ChildSpec> = {};
  for (const instance of ["a", "b"] as const) {
    const gateway = instance === "a" ? addresses.gatewayA : addresses.gatewayB;
    const attestation = instance === "a" ? addresses.attestationA : addresses.attestationB;
    specs[`gateway-${instance}`] = {
      ...common(options, `gateway-${instance}`),
      name: `gateway-${instance}`,
      module: "gateway/app/main.ts",
      permissions: "gateway",
      engine: GATEWAY_ENGINE,
      substitution: {
        ...instanceSubstitution(folder, "gateway", instance, gateway),
        ...peers,
        [STANDARD.attestationA.listen]: addresses.attestationA.listen,
        [STANDARD.attestationA.admin]: addresses.attestationA.admin,
      },
      args: ["--config", `${folder}/gateway-${instance}/config.yaml`],
    };
    const substitution: Substitution = {
      ...instanceSubstitution(folder, "attestation", instance, attestation),
      [STANDARD.database]: postgresAddress(databaseUrl),
      [`${STANDARD_FOLDER}/database-client`]: tls ? [tls.caFile, tls.certFile, tls.keyFile] : [],
      ...(token.configuration.kind === "pkcs11"
        ? { "/usr/lib/softhsm/libsofthsm2.so": token.configuration.library }
        : {}),
    };
    specs[`attestation-${instance}`] = {
      ...common(options, `attestation-${instance}`),
      name: `attestation-${instance}`,
      module: "factory/app/attestation_main.ts",
      permissions: token.configuration.kind === "pkcs11" ? "attestation-pkcs11" : "attestation",
      substitution,
      args: ["--config", `${folder}/attestation-${instance}/config.yaml`],
      env: token.env,
    };
  }
  return specs;
}

/** Addresses at which gateways reach Recover's services. */
function upstreamsOf({ orchestrators, providers }: RecoverAddresses): string[] {
  const both = [orchestrators, ...Object.values(providers).map(({ nodes }) => nodes)];
  return both.flatMap(({ a, b }) => [a.listen, a.admin, b.listen, b.admin]);
}

function postgresAddress(url: string): string {
  const parsed = new URL(url);
  return `${parsed.hostname}:${parsed.port}`;
}

defineErrors({
  SPINE_PROCESS: { fault: "bug", retry: false, next: "Report it." },
});
