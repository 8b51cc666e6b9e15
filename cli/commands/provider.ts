/** `rk provider init | serve`: one backup provider's node with its vault. */

import type { Command } from "commander";
import { type NodeConfig, readNodeConfig } from "providers/app/node_config.ts";
import { readVaultConfig, type VaultConfig } from "providers/app/vault_config.ts";
import { CALL_PIPES } from "shared/service/pipe_calls.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { type Child, type ChildSpec, startChild } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { ensurePipes } from "../process/pipes.ts";

/** Standard folder of a provider, as deno.json's permission sets write it. */
const STANDARD = ".rk/provider";
const STANDARD_LIBRARY = "/usr/lib/softhsm/libsofthsm2.so";
/** Variables that lead common PKCS#11 libraries to their configuration; they are paths. */
const LIBRARY_VARIABLES = ["SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF"];

/** Registers the commands. */
export function registerProvider(program: Command): void {
  const provider = program.command("provider").description(
    "a backup provider: a node behind the gateway, and the vault that alone sees shares and has no network",
  );
  provider.command("init")
    .description(
      "make the keys that are missing in the token, and tell what the root has to sign; repeat it freely",
    )
    .requiredOption(
      "--vault <file>",
      "the vault's configuration; providers/app/vault_example.yaml explains it",
    )
    .action(action(async (options: { vault: string }) => {
      const file = absolute(options.vault);
      return await runForeground(vaultSpec(file, await readVaultConfig(file), "init"));
    }));
  provider.command("serve")
    .description("run a node and its vault until SIGTERM")
    .requiredOption(
      "--vault <file>",
      "the vault's configuration; providers/app/vault_example.yaml explains it",
    )
    .requiredOption("--node <file>", "the node's configuration; providers/app/node_example.yaml explains it")
    .requiredOption("--logs <folder>", "where vault.log and node.log are written")
    .action(action(async (options: { vault: string; node: string; logs: string }) => {
      const running = await startProvider({
        vaultFile: absolute(options.vault),
        nodeFile: absolute(options.node),
        logs: absolute(options.logs),
      });
      console.log(JSON.stringify({ ready: true, ...running.ready }));
      const { promise, resolve } = Promise.withResolvers<number>();
      for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => resolve(0));
      for (const child of [running.vault, running.node]) child.exited.then(() => resolve(6));
      const code = await promise;
      await running.stop();
      return code;
    }));
}

/** A node and its vault. */
export interface RunningProvider {
  readonly vault: Child;
  readonly node: Child;
  /** Of the node's ready line: `listen`, `admin`. */
  readonly ready: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** Starts a vault and its node, joined by named pipes. @throws {CodedError} `VAULT_PIPES`, `CHILD_NOT_READY`. */
export async function startProvider(options: {
  readonly vaultFile: string;
  readonly nodeFile: string;
  /** Folder of the logs. */
  readonly logs: string;
  /** Tests only. */
  readonly preload?: string;
}): Promise<RunningProvider> {
  const { vaultFile, nodeFile, logs } = options;
  const vaultConfig = await readVaultConfig(vaultFile);
  const nodeConfig = await readNodeConfig(nodeFile);
  await ensurePipes(vaultConfig.pipes);
  const more = options.preload ? { preload: options.preload } : {};
  const vault = await startChild({
    ...vaultSpec(vaultFile, vaultConfig, "serve"),
    logFile: `${logs}/vault.log`,
    ...more,
  });
  try {
    const node = await startChild({
      ...nodeSpec(nodeFile, nodeConfig),
      logFile: `${logs}/node.log`,
      ...more,
    });
    const stop = async () => {
      await node.stop();
      await vault.stop();
    };
    return { vault, node, ready: node.ready, stop };
  } catch (error) {
    await vault.stop();
    throw error;
  }
}

/** How a vault's process is started. */
export function vaultSpec(
  file: string,
  config: VaultConfig,
  verb: "init" | "serve",
): Omit<ChildSpec, "logFile"> {
  const { hsm, pipes, verificationKeyFile, certificateFile } = config;
  const init = verb === "init";
  const folder = (path: string) => path.replace(/\/[^/]*$/, "");
  const software = hsm.kind === "software";
  const inherited = LIBRARY_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    name: "vault",
    module: "providers/app/vault_main.ts",
    permissions: `provider-vault${software ? "" : "-pkcs11"}${init ? "-init" : ""}`,
    args: [verb, "--config", file],
    substitution: {
      [`${STANDARD}/vault`]: [file, verificationKeyFile, certificateFile],
      [`${STANDARD}/vault/verification-key`]: verificationKeyFile,
      // The key file's lock and next version are beside it, so to make a key is to write the folder.
      [`${STANDARD}/hsm`]: software ? init ? folder(hsm.file) : hsm.file : hsm.pinFile,
      [`${STANDARD}/hsm/passphrase`]: software ? hsm.passphraseFile : hsm.pinFile,
      [`${STANDARD}/pipes/requests`]: `${pipes}/${CALL_PIPES.requests}`,
      [`${STANDARD}/pipes/answers`]: `${pipes}/${CALL_PIPES.answers}`,
      ...(software ? {} : { [STANDARD_LIBRARY]: hsm.library }),
    },
    env: software ? {} : Object.fromEntries(inherited),
  };
}

/** How a node's process is started. */
export function nodeSpec(file: string, config: NodeConfig): Omit<ChildSpec, "logFile"> {
  const { tls, database, pipes, statusFile, keySetFile, keySet, eventLog } = config;
  const url = new URL(database.url);
  const socket = url.searchParams.get("host");
  const files = [
    file,
    tls.certificate,
    tls.key,
    statusFile,
    ...(eventLog ? [eventLog.keyFile, eventLog.pseudonymKeyFile] : []),
    ...[keySetFile, keySet?.authority].filter((path) => path !== undefined),
    ...[tls.gateways, tls.orchestrators].flatMap(({ authority, revocationList }) =>
      revocationList === undefined ? [authority] : [authority, revocationList]
    ),
    ...(database.tls ? [database.tls.authority, database.tls.certificate, database.tls.key] : []),
    ...(database.passwordFile ? [database.passwordFile] : []),
  ];
  const socketFile = socket === null ? undefined : `${socket}/.s.PGSQL.${url.port || 5432}`;
  return {
    name: "node",
    module: "providers/app/node_main.ts",
    permissions: "provider-node",
    args: ["--config", file],
    substitution: {
      [`${STANDARD}/node`]: [...files, ...(socketFile ? [socketFile] : [])],
      [`${STANDARD}/pipes/requests`]: [
        `${pipes}/${CALL_PIPES.requests}`,
        ...(socketFile ? [socketFile] : []),
      ],
      [`${STANDARD}/pipes/answers`]: `${pipes}/${CALL_PIPES.answers}`,
      [`${STANDARD}/event-log`]: eventLog ? eventLog.folder : [],
      "127.0.0.1:8501": withAnyPort(config.listen),
      "127.0.0.1:8601": withAnyPort(config.admin),
      "127.0.0.1:8511": keySet ? hostAndPort(keySet.url) : [],
      "127.0.0.1:8461": socketFile ? `unix:${socketFile}` : `${url.hostname}:${url.port || 5432}`,
    },
  };
}

/** Port 0 takes a free one: then the whole host is let. */
function withAnyPort(address: string): string {
  return address.replace(/:0$/, "");
}

function hostAndPort(address: string): string {
  const { hostname, port, protocol } = new URL(address);
  return `${hostname}:${port || (protocol === "http:" ? 80 : 443)}`;
}
