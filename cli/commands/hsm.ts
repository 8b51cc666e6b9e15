/** `rk hsm init | status | keys`: the factory's keys in its token. */

import type { Command } from "commander";
import { action, type CommonOptions } from "../output.ts";
import { runForeground } from "../process/foreground.ts";
import { type TokenCommandOptions, tokenOf, tokenSpec, withTokenOptions } from "./token.ts";

/** Verbs, and what each does. */
const VERBS = {
  init:
    "make the issuer, transport-master, upgrade-master, release and log keys that are missing; repeat it freely",
  status: "tell which token it is and whether every key is there (exit code 3 when not)",
  keys: "list the keys, with the public halves in hex and their SHA-256",
} as const;

/** Registers the commands. */
export function registerHsm(program: Command): void {
  const hsm = program.command("hsm").description(
    "the token that holds the factory's keys; none ever leaves it",
  );
  for (const [verb, description] of Object.entries(VERBS)) {
    withTokenOptions(hsm.command(verb).description(description))
      .option("--json", "the last line is one JSON object")
      .addHelpText("after", "\nWithout a token the local spine's is used (development only).")
      .action(action(async (options: CommonOptions & TokenCommandOptions) => {
        const config = await tokenOf(options);
        const init = verb === "init";
        const { args, substitution, env } = tokenSpec(config, init);
        return await runForeground({
          name: "hsm",
          module: "factory/app/hsm_main.ts",
          permissions: config.kind === "pkcs11" ? "hsm-pkcs11" : init ? "hsm-admin" : "hsm-reader",
          substitution,
          args: [verb, ...args, ...(options.json ? ["--json"] : [])],
          ...(env ? { env } : {}),
        });
      }));
  }
}
