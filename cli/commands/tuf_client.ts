/** `rk tuf-client`: the updater's metadata client, in the command-line protocol of the TUF conformance suite. */

import type { Command } from "commander";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";

interface TufOptions {
  metadataDir: string;
  metadataUrl?: string;
  targetName?: string;
  targetBaseUrl?: string;
  targetDir?: string;
}

/** Standard folders and host, as deno.json's permission set writes them. */
const STANDARD_METADATA = ".rk/update/metadata";
const STANDARD_TARGETS = ".rk/update/targets";
const STANDARD_ROOT = ".rk/update/root.json";
const STANDARD_HOST = "releases.invalid:443";

/** What another clock for one process consists of: the conformance suite sets it (`faketime`). */
const CLOCK = /^(LD_PRELOAD|FAKETIME.*|FAKERANDOM_SEED)$/;

/** Registers the command. */
export function registerTufClient(program: Command): void {
  program.command("tuf-client")
    .description("the updater's metadata client, in the TUF conformance suite's command-line protocol")
    .requiredOption("--metadata-dir <dir>", "folder of trusted metadata")
    .option("--metadata-url <url>", "address of the repository's metadata")
    .option("--target-name <path>", "the target that is wanted")
    .option("--target-base-url <url>", "address of the repository's targets")
    .option("--target-dir <dir>", "folder of verified targets")
    .argument("<command>", "init ROOT, refresh or download")
    .argument("[root]", "with init: a root that you trust")
    .addHelpText("after", "\nExit code 0: done. 1: refused or failed; standard error says why.")
    .action(
      action(async (verb: string, root: string | undefined, options: TufOptions) =>
        await runForeground(tufClientSpec(verb, root, options))
      ),
    );
}

/** Its process: it may use the two folders that are named and reach the two addresses, and nothing else. */
export function tufClientSpec(
  verb: string,
  root: string | undefined,
  options: TufOptions,
): Omit<ChildSpec, "logFile"> {
  const metadata = absolute(options.metadataDir);
  const targets = options.targetDir === undefined ? [] : [absolute(options.targetDir)];
  const trusted = root === undefined ? [] : [absolute(root)];
  const given = {
    "--metadata-dir": metadata,
    "--metadata-url": options.metadataUrl,
    "--target-name": options.targetName,
    "--target-base-url": options.targetBaseUrl,
    "--target-dir": targets[0],
  };
  const clock = Object.entries(Deno.env.toObject()).filter(([name]) => CLOCK.test(name));
  return {
    name: "tuf-client",
    module: "device/app/tuf_client_main.ts",
    permissions: "tuf-client",
    substitution: {
      [STANDARD_METADATA]: metadata,
      [STANDARD_TARGETS]: targets,
      [STANDARD_ROOT]: trusted,
      [STANDARD_HOST]: hosts([options.metadataUrl, options.targetBaseUrl]),
    },
    args: [
      ...Object.entries(given).flatMap(([name, value]) => value === undefined ? [] : [`${name}=${value}`]),
      "--",
      verb,
      ...trusted,
    ],
    env: Object.fromEntries(clock),
  };
}

function hosts(addresses: readonly (string | undefined)[]): string[] {
  return addresses.filter((each) => each !== undefined && URL.canParse(each)).map((each) => {
    const { protocol, hostname, port } = new URL(each!);
    return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
  });
}
