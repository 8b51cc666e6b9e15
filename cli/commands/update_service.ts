/** `rk update-service init | serve | describe`: updates of cards in the field, behind the gateway. */

import type { Command } from "commander";
import { CALL_PIPES } from "shared/service/pipe_calls.ts";
import {
  readUpdateConfig,
  readUpdateVaultConfig,
  type UpdateConfig,
  type UpdateVaultConfig,
} from "factory/app/update_config.ts";
import { updateDocument } from "factory/app/update_routes.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { type Child, type ChildSpec, startChild } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { ensurePipes } from "../process/pipes.ts";

/** Standard folder, addresses and library, as deno.json's permission sets write them. */
const STANDARD = {
  folder: ".rk/update-service",
  listen: "127.0.0.1:8454",
  admin: "127.0.0.1:8554",
  database: "127.0.0.1:8461",
  gateway: "127.0.0.1:8441",
  library: "/usr/lib/softhsm/libsofthsm2.so",
} as const;
/** Variables that lead common PKCS#11 libraries to their configuration; they are paths. */
const LIBRARY_VARIABLES = ["SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF"];

/** Registers the commands. */
export function registerUpdateService(program: Command): void {
  const service = program.command("update-service").description(
    "updates cards in the field: a service behind the gateway, and the vault that alone can wrap commands and has no network",
  );
  const vaultOption = "the vault's configuration; factory/app/update_vault_example.yaml explains it";
  service.command("init").description("make the keys that are missing in the token; repeat it freely")
    .requiredOption("--vault <file>", vaultOption)
    .action(action(async (options: { vault: string }) => {
      const file = absolute(options.vault);
      return await runForeground(updateVaultSpec(file, readUpdateVaultConfig(file), "init"));
    }));
  service.command("serve").description("run a service and its vault until SIGTERM; any number may run")
    .requiredOption(
      "--config <file>",
      "the service's configuration; factory/app/update_example.yaml explains it",
    )
    .requiredOption("--vault <file>", vaultOption)
    .requiredOption("--logs <folder>", "where update.log and update-vault.log are written")
    .action(action(async (options: { config: string; vault: string; logs: string }) => {
      const running = await startUpdateService({
        configFile: absolute(options.config),
        vaultFile: absolute(options.vault),
        logs: absolute(options.logs),
      });
      console.log(JSON.stringify({ ready: true, ...running.service.ready }));
      const { promise, resolve } = Promise.withResolvers<number>();
      for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => resolve(0));
      for (const child of [running.vault, running.service]) child.exited.then(() => resolve(6));
      const code = await promise;
      await running.stop();
      return code;
    }));
  service.command("describe").description("print the OpenAPI document, for a gateway's firewall")
    .action(action(() => {
      console.log(JSON.stringify(updateDocument(), null, 2));
      return Promise.resolve(0);
    }));
}

/** A service and its vault. */
export interface RunningUpdateService {
  readonly vault: Child;
  readonly service: Child;
  stop(): Promise<void>;
}

/** How both are started. */
export interface StartUpdateService {
  readonly configFile: string;
  readonly vaultFile: string;
  /** Folder of the logs. */
  readonly logs: string;
  readonly outlives?: boolean;
  readonly preload?: string;
  /** Environment that leads to the token. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts both, joined by named pipes. @throws {CodedError} `VAULT_PIPES`, `CHILD_NOT_READY`. */
export async function startUpdateService(options: StartUpdateService): Promise<RunningUpdateService> {
  const { configFile, vaultFile, logs, env, outlives, preload } = options;
  const more = { ...(preload ? { preload } : {}), ...(outlives ? { outlives } : {}) };
  const vaultConfig = readUpdateVaultConfig(vaultFile);
  await ensurePipes(vaultConfig.pipes);
  const vaultSpec = updateVaultSpec(vaultFile, vaultConfig, "serve");
  const vault = await startChild({
    ...vaultSpec,
    env: { ...vaultSpec.env, ...env },
    logFile: `${logs}/update-vault.log`,
    ...more,
  });
  try {
    const service = await startChild({
      ...updateServiceSpec(configFile, readUpdateConfig(configFile)),
      logFile: `${logs}/update.log`,
      ...more,
    });
    return {
      vault,
      service,
      async stop() {
        await service.stop();
        await vault.stop();
      },
    };
  } catch (error) {
    await vault.stop();
    throw error;
  }
}

const folderOf = (path: string) => path.replace(/\/[^/]*$/, "");

/** How a vault's process is started: its token, its files, its pipes, and no network. */
export function updateVaultSpec(
  file: string,
  config: UpdateVaultConfig,
  verb: "init" | "serve",
): Omit<ChildSpec, "logFile"> {
  const { hsm, pipes, root } = config;
  const software = hsm.kind === "software";
  const inherited = LIBRARY_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const { folder } = STANDARD;
  return {
    name: "update vault",
    module: "factory/app/update_vault_main.ts",
    permissions: `update-vault${software ? "" : "-pkcs11"}${verb === "init" ? "-init" : ""}`,
    args: [verb, "--config", file],
    substitution: {
      [`${folder}/vault`]: [file, root],
      // The key file's lock and next version are beside it, so to make a key is to write the folder.
      [`${folder}/hsm`]: software ? verb === "init" ? folderOf(hsm.file) : hsm.file : hsm.pinFile,
      [`${folder}/hsm/passphrase`]: software ? hsm.passphraseFile : hsm.pinFile,
      [`${folder}/pipes/requests`]: `${pipes}/${CALL_PIPES.requests}`,
      [`${folder}/pipes/answers`]: `${pipes}/${CALL_PIPES.answers}`,
      ...(software ? {} : { [STANDARD.library]: hsm.library }),
    },
    env: software ? {} : Object.fromEntries(inherited),
  };
}

/** How a service's process is started: net to its listeners, its store and the gateways that have the list of revoked cards. */
export function updateServiceSpec(file: string, config: UpdateConfig): Omit<ChildSpec, "logFile"> {
  const { tls, store, pipes, revocations, eventLog } = config;
  const remote = "addresses" in revocations ? revocations : undefined;
  const url = store.kind === "postgres" ? new URL(store.url) : undefined;
  const databaseTls = store.kind === "postgres" ? store.tls : undefined;
  const files = [
    file,
    tls.certificate,
    tls.key,
    ...[tls.gateways, tls.clients].flatMap(({ authority, revocationList }) =>
      revocationList === undefined ? [authority] : [authority, revocationList]
    ),
    ...(remote ? [remote.tls.authority, remote.tls.certificate, remote.tls.key] : []),
    ...("file" in revocations ? [revocations.file] : []),
    ...(databaseTls ? [databaseTls.authority, databaseTls.certificate, databaseTls.key] : []),
    ...(store.kind === "postgres" && store.passwordFile ? [store.passwordFile] : []),
    ...(eventLog ? [eventLog.keyFile, eventLog.pseudonymKeyFile] : []),
  ];
  const written = [
    ...(store.kind === "sqlite" ? [folderOf(store.file)] : []),
    ...(eventLog ? [folderOf(eventLog.folder), folderOf(eventLog.sequenceFile)] : []),
  ];
  const { folder } = STANDARD;
  return {
    name: "update service",
    module: "factory/app/update_main.ts",
    permissions: "update-service",
    args: ["--config", file],
    substitution: {
      [STANDARD.listen]: withAnyPort(config.listen),
      [STANDARD.admin]: withAnyPort(config.admin),
      [STANDARD.database]: url === undefined ? [] : `${url.hostname}:${url.port || 5432}`,
      [STANDARD.gateway]: remote?.addresses.map(hostAndPort) ?? [],
      [`${folder}/service`]: files,
      [`${folder}/store`]: written,
      [`${folder}/pipes/requests`]: `${pipes}/${CALL_PIPES.requests}`,
      [`${folder}/pipes/answers`]: `${pipes}/${CALL_PIPES.answers}`,
    },
  };
}

/** Port 0 takes a free one: then the whole host is let. */
function withAnyPort(address: string): string {
  return address.replace(/:0$/, "");
}

function hostAndPort(address: string): string {
  const { hostname, port } = new URL(address);
  return `${hostname}:${port || 443}`;
}
