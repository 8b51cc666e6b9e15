/** `rk verifier init | serve`: the reference identity verifier of one provider. Not for production. */

import type { Command } from "commander";
import { readVerifierConfig, type VerifierConfig } from "providers/app/verifier_config.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";

/** Standard address and folder, as deno.json's permission sets write them. */
const STANDARD = { folder: ".rk/verifier", listen: "127.0.0.1:8511" } as const;

const VERBS = {
  init: "make its keys, and print what the provider's vault pins; repeat it freely",
  serve: "serve its page and its keys until SIGTERM",
} as const;

/** Registers the commands. */
export function registerVerifier(program: Command): void {
  const verifier = program.command("verifier").description(
    "a reference identity verifier with a web page, for demonstrations: it verifies nobody",
  );
  for (const [verb, description] of Object.entries(VERBS) as [keyof typeof VERBS, string][]) {
    verifier.command(verb).description(description)
      .requiredOption(
        "--config <file>",
        "YAML configuration; providers/app/verifier_example.yaml explains it",
      )
      .action(action(async (options: { config: string }) => {
        const file = absolute(options.config);
        return await runForeground(verifierSpec(verb, file, await readVerifierConfig(file)));
      }));
  }
}

/** How the process is started: net to exactly its listener, and its keys' folder to write. */
export function verifierSpec(
  verb: keyof typeof VERBS,
  file: string,
  { keys, tls, listen }: VerifierConfig,
): Omit<ChildSpec, "logFile"> {
  return {
    name: "verifier",
    module: "providers/app/verifier_main.ts",
    permissions: verb === "init" ? "verifier-init" : "verifier",
    substitution: {
      [`${STANDARD.folder}/config`]: [file, ...(tls ? [tls.certificate, tls.key] : [])],
      [`${STANDARD.folder}/keys`]: keys,
      // Port 0 takes a free one: then the whole host is let.
      [STANDARD.listen]: listen.replace(/:0$/, ""),
    },
    args: [verb, "--config", file],
  };
}
