/** `rk wallet update [--check]`: the card's software, from the wallet. */

import type { Command } from "commander";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { readWalletUpdateConfig } from "device/app/wallet_update_config.ts";
import { HOME } from "../home.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { DEFAULT_SPINE, STANDARD_FOLDER } from "../spine/layout.ts";
import { STANDARD_PCSC_LIBRARY, STANDARD_VIRTUAL_READERS } from "./station.ts";

/** Options of the command. */
export interface WalletUpdateOptions extends CommonOptions {
  readonly reader: string;
  readonly config?: string;
  readonly folder?: string;
  readonly trust?: string;
  readonly virtualReaders?: string;
  readonly check?: boolean;
  readonly secretsFd?: string;
  readonly confirm?: readonly string[];
  readonly wait?: string;
}

/** Standard files and addresses, as deno.json's permission sets write them. */
const STANDARD = {
  folder: ".rk/wallet/update",
  own: ".rk/spine/wallet",
  gateways: ["127.0.0.1:8441", "127.0.0.1:8442"],
} as const;
const DEFAULT_FOLDER = `${HOME}/wallet/update`;

/** Registers the command below `rk wallet`. */
export function registerWalletUpdate(wallet: Command): void {
  wallet.command("update")
    .description(
      "the card's software: what is on it, what is offered, and the update, seed kept; goes on after any interruption",
    )
    .requiredOption("--reader <name>", "reader, by name or a part of it")
    .option("--check", "only look: nothing on the card changes, and no PIN is asked")
    .option(
      "--config <file>",
      "how to reach service and repository; the file that the local spine wrote otherwise",
    )
    .option("--folder <folder>", "the updater's memory; .rk/wallet/update otherwise")
    .option("--trust <file>", "what the wallet trusts; the file that the local station wrote otherwise")
    .option("--virtual-readers <host:port>", "a virtual reader instead of PC/SC")
    .option("--secrets-fd <n>", "read cardPin from this descriptor instead of the terminal")
    .option("--confirm <word...>", "say yes beforehand: last-try")
    .option("--wait <seconds>", "longest wait for a card", "60")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: WalletUpdateOptions) => {
      await Deno.mkdir(options.folder ? absolute(options.folder) : DEFAULT_FOLDER, {
        recursive: true,
        mode: 0o700,
      });
      const { secretsFd } = options;
      return await runForeground(
        walletUpdateSpec(options),
        secretsFd === undefined ? {} : { stdinFrom: Number(secretsFd) },
      );
    }));
}

/** The updater's process. */
export function walletUpdateSpec(options: WalletUpdateOptions): Omit<ChildSpec, "logFile"> {
  const file = options.config ? absolute(options.config) : `${DEFAULT_SPINE}/wallet/update.yaml`;
  const trust = options.trust ? absolute(options.trust) : `${DEFAULT_SPINE}/station/wallet-trust.json`;
  const folder = options.folder ? absolute(options.folder) : DEFAULT_FOLDER;
  const { gateways, tls, root } = readWalletUpdateConfig(file);
  const socket = Deno.env.get("PCSCLITE_CSOCK_NAME");
  const flag = (name: string, value: string | undefined) => value === undefined ? [] : [`${name}=${value}`];
  return {
    name: "wallet",
    module: "device/app/wallet_update_main.ts",
    permissions: options.virtualReaders ? "wallet-update-virtual" : "wallet-update",
    substitution: {
      [STANDARD.folder]: folder,
      [STANDARD.own]: [file, root, tls.authority, tls.certificate, tls.key],
      [STANDARD.gateways[0]]: gateways.map(hostAndPort),
      [STANDARD.gateways[1]]: [],
      [STANDARD_VIRTUAL_READERS]: options.virtualReaders ?? [],
      [STANDARD_PCSC_LIBRARY]: libraryCandidates(),
      [`${STANDARD_FOLDER}/station/wallet-trust.json`]: trust,
    },
    args: [
      ...flag("--config", file),
      ...flag("--folder", folder),
      ...flag("--reader", options.reader),
      ...flag("--trust", trust),
      ...flag("--virtual-readers", options.virtualReaders),
      ...flag("--wait", options.wait),
      ...(options.check ? ["--check"] : []),
      ...(options.json ? ["--json"] : []),
      ...(options.secretsFd === undefined ? [] : ["--secrets-stdin"]),
      ...(options.confirm ?? []).flatMap((word) => flag("--confirm", word)),
    ],
    ...(socket ? { env: { PCSCLITE_CSOCK_NAME: socket } } : {}),
  };
}

function hostAndPort(address: string): string {
  const { hostname, port } = new URL(address);
  return `${hostname}:${port || 443}`;
}
