/** `rk <noun> <verb>`: the one command for people. Wiring only: each command lives in commands/. */

import { Command } from "commander";
import tab from "@bomb.sh/tab/commander";
import { errorTable, EXIT_CODES } from "shared/base/errors.ts";
import { registerBatch } from "./commands/batch.ts";
import { registerBench } from "./commands/bench.ts";
import { registerCard } from "./commands/card.ts";
import { registerDemo } from "./commands/demo.ts";
import { registerGateway } from "./commands/gateway.ts";
import { registerHsm } from "./commands/hsm.ts";
import { registerLog } from "./commands/log.ts";
import { registerPackage } from "./commands/package.ts";
import { registerProfile } from "./commands/profile.ts";
import { registerOrchestrator } from "./commands/orchestrator.ts";
import { registerProvider } from "./commands/provider.ts";
import { registerReader } from "./commands/reader.ts";
import { registerRelease } from "./commands/release.ts";
import { registerSpine } from "./commands/spine.ts";
import { registerStation } from "./commands/station.ts";
import { registerTest } from "./commands/test.ts";
import { registerVerifier } from "./commands/verifier.ts";
import { registerTufClient } from "./commands/tuf_client.ts";
import { registerUpdateService } from "./commands/update_service.ts";
import { registerWallet } from "./commands/wallet.ts";

/** The command tree. */
export function program(): Command {
  const rk = new Command("rk")
    .description("Recovery Key: factory, edge gateway, wallet and recovery service")
    // An option after a command is that command's, also where a command and one below it share a name for it.
    .enablePositionalOptions()
    .helpOption("-h, --help", "what this command does")
    .helpCommand("help [command]", "what a command does; `rk help exit-codes` lists the exit codes")
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(`rk: ${text.replace(/^error: /, "")}`) })
    .exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : EXIT_CODES.usage));
  registerDemo(rk);
  registerProfile(rk);
  registerBatch(rk);
  registerPackage(rk);
  registerHsm(rk);
  registerStation(rk);
  registerWallet(rk);
  registerOrchestrator(rk);
  registerProvider(rk);
  registerVerifier(rk);
  registerReader(rk);
  registerCard(rk);
  registerGateway(rk);
  registerSpine(rk);
  registerLog(rk);
  registerRelease(rk);
  registerTufClient(rk);
  registerUpdateService(rk);
  registerBench(rk);
  registerTest(rk);
  tab(rk, { completionCommandName: "completion" });
  return rk;
}

/** Text of `rk help exit-codes`. */
export function exitCodesHelp(): string {
  const faults = Object.entries(EXIT_CODES).map(([fault, code]) => `  ${code}  ${EXIT_CODE_MEANING[fault]}`);
  const codes = [...errorTable()].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([code, row]) => `  ${code.padEnd(34)} ${EXIT_CODES[row.fault]}  ${row.next}`);
  return ["Exit codes", ...faults, "", "Error codes, exit code, what to do next", ...codes].join("\n");
}

const EXIT_CODE_MEANING: Readonly<Record<string, string>> = {
  ok: "it did what it says",
  bug: "a fault of this program, or a test that failed",
  usage: "the command line is wrong",
  configuration: "a configuration or profile is wrong",
  peer: "another side refused, or sent something wrong",
  card: "the card is wrong, was removed, or failed",
  service: "a service, token or database is not available",
  installation: "something is not installed",
};

if (import.meta.main) {
  const args = Deno.args;
  if (args[0] === "help" && args[1] === "exit-codes") {
    console.log(exitCodesHelp());
    Deno.exit(0);
  }
  // commander's own `help` knows one level; `rk help station run` is `rk station run --help`.
  const nested = args[0] === "help" && args.length > 2;
  await program().parseAsync(nested ? [...args.slice(1), "--help"] : [...args], { from: "user" });
}
