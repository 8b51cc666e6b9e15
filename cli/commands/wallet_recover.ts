/** `rk wallet recover backup | restore | delete`: a device's seed at three backup providers. */

import type { Command } from "commander";
import { readCompanionConfig } from "device/app/recover_companion_config.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";

interface RecoverOptions extends CommonOptions {
  config: string;
  device: string;
  identity?: string;
  backup?: string;
  avoid?: string;
}

/** Standard addresses and folder, as deno.json's permission set writes them. */
const STANDARD = {
  device: "127.0.0.1:8491",
  gateways: "127.0.0.1:8441",
  folder: ".rk/wallet",
} as const;

const VERBS = {
  backup: "share the device's seed between three providers; tells the number that a restore asks for",
  restore: "give a seed back to an empty device, after two identity verifications",
  delete: "have all three providers delete their shares, signed by the device",
} as const;

const HELP = `
The device is one that \`rk wallet serve --apdu-port N\` serves. Everything that matters is confirmed on it.
FILE of --config: gateways (a list of https addresses), tls (authority, certificate, key).
FILE of --identity: JSON with backupName, firstName, lastName, dateOfBirth, placeOfBirth.
When a provider wants your identity verified, its verifier's page is shown: open it, and give its result as one line.`;

/** Registers the commands below \`rk wallet\`. */
export function registerWalletRecover(wallet: Command): void {
  const recover = wallet.command("recover").description("a seed in three shares: backup, restore, delete")
    .addHelpText("after", HELP);
  for (const [verb, description] of Object.entries(VERBS)) {
    const command = recover.command(verb).description(description)
      .requiredOption("--config <file>", "how to reach the service")
      .option("--device <host:port>", "the device", STANDARD.device)
      .option("--json", "one JSON object a line; the last one tells how it ended");
    if (verb === "backup") command.requiredOption("--identity <file>", "whose backup it is");
    else command.requiredOption("--backup <id>", "number of the backup, 32 hexadecimal digits");
    if (verb === "restore") {
      command.option(
        "--avoid <n>",
        "leave out provider 1, 2 or 3: one that refuses or misbehaves does not block a restore",
      );
    }
    command.action(action((options: RecoverOptions) => runForeground(recoverSpec(verb, options))));
  }
}

/** The process of a command. */
export function recoverSpec(verb: string, options: RecoverOptions): Omit<ChildSpec, "logFile"> {
  const config = absolute(options.config);
  const { gateways, tls } = readCompanionConfig(config);
  const identity = options.identity === undefined ? [] : [absolute(options.identity)];
  const address = (gateway: string) => {
    const { hostname, port } = new URL(gateway);
    return `${hostname}:${port || 443}`;
  };
  return {
    name: "recover",
    module: "device/app/recover_companion_main.ts",
    permissions: "wallet-recover",
    substitution: {
      [STANDARD.device]: options.device,
      [STANDARD.gateways]: gateways.map(address),
      [STANDARD.folder]: [config, tls.authority, tls.certificate, tls.key, ...identity],
    },
    args: [
      verb,
      `--config=${config}`,
      `--device=${options.device}`,
      ...identity.map((path) => `--identity=${path}`),
      ...(options.backup === undefined ? [] : [`--backup=${options.backup}`]),
      ...(options.avoid === undefined ? [] : [`--avoid=${options.avoid}`]),
      ...(options.json ? ["--json"] : []),
    ],
  };
}
