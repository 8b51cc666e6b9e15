/** `rk orchestrator init | serve`: the service between wallets and backup providers. */

import type { Command } from "commander";
import { type OrchestratorConfig, parseOrchestratorConfig } from "orchestrator/app/config.ts";
import { readText } from "shared/base/text_file.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";

/** Standard addresses and folders, as deno.json's permission sets write them. */
const STANDARD = {
  listen: "127.0.0.1:8453",
  admin: "127.0.0.1:8553",
  providers: ["127.0.0.1:8441", "127.0.0.1:8442"],
  database: "127.0.0.1:8461",
  folder: ".rk/spine/orchestrator",
  pki: ".rk/spine/pki",
  eventLog: ".rk/spine/event-logs/orchestrator",
  hsm: ".rk/spine/hsm",
  databaseClient: ".rk/spine/database-client",
  library: "/usr/lib/softhsm/libsofthsm2.so",
} as const;
/** Variables that lead common PKCS#11 libraries to their configuration; they are paths. */
const LIBRARY_VARIABLES = ["SOFTHSM2_CONF", "YUBIHSM_PKCS11_CONF"];

const VERBS = {
  init: "make the keys that are missing in the token, and tell what the root has to sign; repeat it freely",
  serve: "run an instance until SIGTERM; any number may run on one database",
} as const;

/** Registers the commands. */
export function registerOrchestrator(program: Command): void {
  const orchestrator = program.command("orchestrator").description(
    "carries backups, restores and deletions between wallets and three providers; it never holds a share",
  );
  for (const [verb, description] of Object.entries(VERBS) as [keyof typeof VERBS, string][]) {
    orchestrator.command(verb).description(description)
      .requiredOption("--config <file>", "YAML configuration; orchestrator/example.yaml explains it")
      .action(action(async (options: { config: string }) => {
        const file = absolute(options.config);
        const config = parseOrchestratorConfig(file, await readText(file));
        return await runForeground(orchestratorSpec(verb, file, config));
      }));
  }
}

/** How the process is started: net to exactly its listener, its providers and its database. */
export function orchestratorSpec(
  verb: keyof typeof VERBS,
  file: string,
  config: OrchestratorConfig,
): Omit<ChildSpec, "logFile"> {
  const { tls, database, hsm, providers } = config;
  const [first, second] = STANDARD.providers;
  const url = new URL(database.url);
  const files = [
    ...[tls, ...providers.map(({ tls }) => tls)].flatMap(({ certificate, key }) => [certificate, key]),
    ...[tls.gateways, tls.clients].flatMap((each) => [each.authority, each.revocationList ?? each.authority]),
    ...providers.map(({ tls }) => tls.authority),
  ];
  const { eventLog } = config;
  const token = hsm.kind === "software" ? [hsm.file, hsm.passphraseFile] : [hsm.library, hsm.pinFile];
  const tokenFolder = token[0]!.replace(/\/[^/]*$/, "");
  const variables = LIBRARY_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    name: "orchestrator",
    module: "orchestrator/app/main.ts",
    permissions: hsm.kind === "pkcs11"
      ? "orchestrator-pkcs11"
      : verb === "init"
      ? "orchestrator-init"
      : "orchestrator",
    substitution: {
      [STANDARD.listen]: config.listen,
      [STANDARD.admin]: config.admin,
      [first]: providers.flatMap(({ servers }) => servers.map(hostAndPort)),
      [second]: [],
      [STANDARD.database]: `${url.hostname}:${url.port || 5432}`,
      [STANDARD.folder]: file,
      [STANDARD.pki]: [...files, ...(eventLog ? [eventLog.pseudonymKeyFile] : [])],
      [STANDARD.eventLog]: eventLog ? eventLog.folder : [],
      [STANDARD.hsm]: hsm.kind === "software" && verb === "init" ? [tokenFolder, hsm.passphraseFile] : token,
      [STANDARD.databaseClient]: [
        ...(database.tls ? [database.tls.authority, database.tls.certificate, database.tls.key] : []),
        ...(database.passwordFile ? [database.passwordFile] : []),
      ],
      ...(hsm.kind === "pkcs11" ? { [STANDARD.library]: hsm.library } : {}),
    },
    args: [verb, "--config", file],
    ...(variables.length > 0 ? { env: Object.fromEntries(variables) } : {}),
  };
}

function hostAndPort(address: string): string {
  const { hostname, port } = new URL(address);
  return `${hostname}:${port || 443}`;
}
