/** `rk wallet genuine-check`: is this card genuine? */

import type { Command } from "commander";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { DEFAULT_SPINE, STANDARD_FOLDER } from "../spine/layout.ts";
import { STANDARD_PCSC_LIBRARY, STANDARD_VIRTUAL_READERS } from "./station.ts";

interface GenuineCheckOptions extends CommonOptions {
  reader: string;
  trust?: string;
  virtualReaders?: string;
}

/** Registers the commands. */
export function registerWallet(program: Command): void {
  const wallet = program.command("wallet").description("what a hardware wallet does with a card");
  wallet.command("genuine-check")
    .description("prove that a card is genuine, by a full mutual authentication; nothing on the card changes")
    .requiredOption("--reader <name>", "reader, by name or a part of it")
    .option("--trust <file>", "what the wallet trusts; the file that the local station wrote otherwise")
    .option("--virtual-readers <host:port,...>", "virtual readers instead of PC/SC")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: GenuineCheckOptions) => {
      const trust = options.trust ? absolute(options.trust) : `${DEFAULT_SPINE}/station/wallet-trust.json`;
      return await runForeground(genuineCheckSpec({ ...options, trust }));
    }));
}

/** The process of `rk wallet genuine-check`. */
export function genuineCheckSpec(
  options: GenuineCheckOptions & { trust: string },
): Omit<ChildSpec, "logFile"> {
  const socket = Deno.env.get("PCSCLITE_CSOCK_NAME");
  return {
    name: "wallet",
    module: "device/app/wallet_main.ts",
    permissions: options.virtualReaders ? "wallet-virtual" : "wallet",
    substitution: {
      [STANDARD_VIRTUAL_READERS]: options.virtualReaders?.split(",") ?? [],
      [STANDARD_PCSC_LIBRARY]: libraryCandidates(),
      [`${STANDARD_FOLDER}/station/wallet-trust.json`]: options.trust,
    },
    args: [
      "genuine-check",
      "--reader",
      options.reader,
      "--trust",
      options.trust,
      ...(options.virtualReaders ? ["--virtual-readers", options.virtualReaders] : []),
      ...(options.json ? ["--json"] : []),
    ],
    ...(socket ? { env: { PCSCLITE_CSOCK_NAME: socket } } : {}),
  };
}
