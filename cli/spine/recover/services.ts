/**
 * Recover's processes of a local spine: for each provider two nodes, each with its vault, its own token and database; and two
 * orchestrators on one database. Everything starts at once where it can.
 */

import type { JWK } from "jose";
import { parseOrchestratorConfig } from "orchestrator/app/config.ts";
import { readText } from "shared/base/text_file.ts";
import { readNodeConfig } from "providers/app/node_config.ts";
import { readVaultConfig } from "providers/app/vault_config.ts";
import { orchestratorSpec } from "../../commands/orchestrator.ts";
import { nodeSpec, vaultSpec } from "../../commands/provider.ts";
import { ensurePipes } from "../../process/pipes.ts";
import { writePrivate } from "../../paths.ts";
import { type Child, type ChildSpec, startChild } from "../../process/child.ts";
import { printedBy } from "../../process/foreground.ts";
import { settled } from "../../process/settled.ts";
import { writeTrust } from "../event_logs.ts";
import type { SpineAddresses } from "../layout.ts";
import {
  type DatabaseProxy,
  embeddedDatabase,
  type OwnDatabase,
  ownDatabase,
  type OwnToken,
  ownToken,
} from "./backends.ts";
import {
  nodeConfiguration,
  orchestratorConfiguration,
  type SessionTimes,
  vaultConfiguration,
  writeCompanion,
  writeYaml,
} from "./configurations.ts";
import { provisionOrchestratorLog, provisionProviderLog } from "./event_logs.ts";
import {
  type Instance,
  INSTANCES,
  providerFolder,
  type ProviderIndex,
  PROVIDERS,
  type RecoverAddresses,
} from "./layout.ts";
import { type LocalRoot, openRoot, openService } from "./root.ts";
import { initVerifier, type LocalVerifier, serveVerifierSpec } from "./verifiers.ts";

/** What the services are started with. */
export interface RecoverOptions {
  /** The spine's folder. */
  readonly folder: string;
  readonly real: boolean;
  readonly gateways: SpineAddresses;
  readonly addresses: RecoverAddresses;
  /** Adds what every process of the spine has: its log, whether it outlives us. */
  readonly spec: (name: string, spec: Omit<ChildSpec, "logFile">) => ChildSpec;
  /** The embedded database in a folder, at an address. */
  readonly databaseSpec: (name: string, directory: string, address: string) => Promise<ChildSpec>;
  /** Running processes by name; what is started is added. */
  readonly children: Map<string, Child>;
  /** How each process is started again. */
  readonly specs: Map<string, ChildSpec>;
  readonly databaseProxy?: DatabaseProxy;
  readonly times?: SessionTimes;
}

/** One provider as it runs. */
export interface RunningProvider {
  readonly index: ProviderIndex;
  readonly database: OwnDatabase;
  /** Public key (65, hex). */
  readonly publicKey: string;
  readonly verifier: LocalVerifier;
}

/** The services. */
export interface RecoverServices {
  readonly providers: readonly RunningProvider[];
  /** The orchestrators' database. */
  readonly database: OwnDatabase;
  /** Stops the database servers that are no processes of the spine's own. */
  stop(): Promise<void>;
}

/** Starts everything and waits until it serves. What was started is in `children`, also when something fails. */
export async function startRecover(options: RecoverOptions): Promise<RecoverServices> {
  const started: OwnDatabase[] = [];
  const stop = async () => {
    await Promise.all(started.splice(0).map(({ postgres }) => postgres?.stop()));
  };
  const root = openRoot(options.folder);
  try {
    await writeCompanion(options.folder, options.gateways);
    const [database, providers] = await Promise.all([
      openDatabase(
        options,
        started,
        "orchestrator",
        `${options.folder}/recover/orchestrator`,
        options.addresses.database,
      ),
      settled(PROVIDERS.map((index) => initProvider(options, root, index, started))),
    ]);
    await settled([
      ...providers.flatMap((provider) => [
        serveVerifier(options, provider),
        ...INSTANCES.map((each) => serveProvider(options, provider.index, each, provider.token)),
      ]),
      serveOrchestrators(options, root, database, providers),
    ]);
    return { providers, database, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    root.close();
  }
}

async function start({ specs, children }: RecoverOptions, name: string, spec: ChildSpec): Promise<void> {
  specs.set(name, spec);
  children.set(name, await startChild(spec));
}

async function openDatabase(
  options: RecoverOptions,
  started: OwnDatabase[],
  name: string,
  folder: string,
  address: string,
): Promise<OwnDatabase> {
  if (options.real) {
    const own = await ownDatabase(folder, name, options.databaseProxy);
    started.push(own);
    return own;
  }
  const child = `${name}-database`;
  await start(options, child, await options.databaseSpec(child, `${folder}/database`, address));
  return embeddedDatabase(address);
}

/** A provider with its keys made and certified. */
interface MadeProvider extends RunningProvider {
  readonly token: OwnToken;
  /** Key of the vaults, to which verifications are sealed. */
  readonly vaultKey: JWK;
}

async function initProvider(
  options: RecoverOptions,
  root: LocalRoot,
  index: ProviderIndex,
  started: OwnDatabase[],
): Promise<MadeProvider> {
  const { folder, real, addresses } = options;
  const own = providerFolder(folder, index);
  const name = `provider-${index}`;
  const opening = openDatabase(options, started, name, own, addresses.providers[index].database);
  opening.catch(() => {}); // it is waited for below
  const [token, verifier, lockAuthority, eventLog] = await Promise.all([
    ownToken(own, name, real),
    initVerifier(folder, index, addresses.providers[index].verifier),
    openService(own),
    provisionProviderLog(folder, index),
  ]);
  for (const instance of INSTANCES) {
    const vault = { index, instance, hsm: token.section, verifier, lockAuthority, issuer: root.publicKey };
    await writeYaml(`${own}/vault-${instance}.yaml`, vaultConfiguration(vault));
  }
  const vaultFile = `${own}/vault-a.yaml`;
  const init = vaultSpec(vaultFile, await readVaultConfig(vaultFile), "init");
  const { toSign, publicKey, verificationKey } = await printedBy<
    { toSign: string; publicKey: string; verificationKey: JWK }
  >({ ...init, env: token.env });
  await writePrivate(`${own}/certificate.hex`, root.certify(toSign));
  const database = await opening;
  for (const instance of INSTANCES) {
    await writeYaml(
      `${own}/node-${instance}.yaml`,
      nodeConfiguration(index, instance, addresses, database.section, eventLog),
    );
  }
  return { index, database, publicKey, verifier, vaultKey: verificationKey, token };
}

async function serveVerifier(options: RecoverOptions, { index, vaultKey }: MadeProvider): Promise<void> {
  const { folder, addresses } = options;
  const name = `verifier-${index}`;
  const spec = await serveVerifierSpec(folder, index, addresses.providers[index].verifier, vaultKey);
  await start(options, name, options.spec(name, spec));
}

async function serveProvider(
  options: RecoverOptions,
  index: ProviderIndex,
  instance: Instance,
  { env }: OwnToken,
): Promise<void> {
  const own = providerFolder(options.folder, index);
  const name = `provider-${index}-${instance}`;
  const vaultFile = `${own}/vault-${instance}.yaml`;
  const nodeFile = `${own}/node-${instance}.yaml`;
  const config = await readVaultConfig(vaultFile);
  await ensurePipes(config.pipes);
  const vault = `${name}-vault`;
  await start(options, vault, options.spec(vault, { ...vaultSpec(vaultFile, config, "serve"), env }));
  await start(options, name, options.spec(name, nodeSpec(nodeFile, await readNodeConfig(nodeFile))));
}

async function serveOrchestrators(
  options: RecoverOptions,
  root: LocalRoot,
  database: OwnDatabase,
  providers: readonly RunningProvider[],
): Promise<void> {
  const { folder, addresses, gateways, real, times = {} } = options;
  const own = `${folder}/recover/orchestrator`;
  const { section: hsm, env } = await ownToken(own, "orchestrator", real);
  const [one, two, three] = providers.map(({ publicKey }) => publicKey);
  const facts = {
    addresses,
    gateways,
    database: database.section,
    hsm,
    issuer: root.publicKey,
    providerKeys: { 1: one!, 2: two!, 3: three! },
    times,
    eventLog: await provisionOrchestratorLog(folder),
  };
  const file = (instance: Instance) => `${own}/${instance}.yaml`;
  const spec = async (verb: "init" | "serve", instance: Instance) => {
    const config = parseOrchestratorConfig(file(instance), await readText(file(instance)));
    return { ...orchestratorSpec(verb, file(instance), config), env };
  };
  await writeYaml(file("a"), orchestratorConfiguration("a", facts));
  const { toSign, eventLogKey } = await printedBy<{ toSign: string; eventLogKey: string }>(
    await spec("init", "a"),
  );
  await writeTrust(folder, "orchestrator", eventLogKey);
  const signature = root.sign(toSign);
  await settled(INSTANCES.map(async (instance) => {
    await writeYaml(file(instance), orchestratorConfiguration(instance, { ...facts, signature }));
    const name = `orchestrator-${instance}`;
    await start(options, name, options.spec(name, await spec("serve", instance)));
  }));
}
