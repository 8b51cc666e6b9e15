/** `rk gateway describe | explain`: what passes the positive firewall, and why a request does not. */

import type { Command } from "commander";
import { attestationDocument } from "factory/app/attestation_document.ts";
import { GatewayConfig } from "gateway/app/config.ts";
import { besideConfig, readConfig } from "gateway/app/config_file.ts";
import { CodedError } from "shared/base/errors.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { STANDARD_FOLDER } from "../spine/layout.ts";

/** Services of ours and their descriptions. */
const DESCRIPTIONS: Readonly<Record<string, () => object>> = { attestation: attestationDocument };

interface ExplainOptions {
  readonly config: string;
  readonly identity?: string;
  readonly authority?: string;
  readonly address?: string;
  readonly unixLines?: boolean;
  readonly json?: boolean;
}

/** Registers the commands below `gateway`. */
export function registerExplanation(gateway: Command): void {
  gateway.command("describe [service]")
    .description("write the OpenAPI document of a service of ours, for `apis` of the configuration")
    .option("--out <file>", "instead of standard output")
    .action(action(async (service: string | undefined, options: { out?: string }) => {
      const name = service ?? "attestation";
      const describe = Object.hasOwn(DESCRIPTIONS, name) ? DESCRIPTIONS[name] : undefined;
      if (describe === undefined) {
        const known = Object.keys(DESCRIPTIONS).join(", ");
        throw new CodedError("GATEWAY_USAGE", `Cannot describe ${name}: the services are ${known}`);
      }
      const text = JSON.stringify(describe(), null, 2) + "\n";
      if (options.out === undefined) await Deno.stdout.write(new TextEncoder().encode(text));
      else await Deno.writeTextFile(absolute(options.out), text);
    }));
  gateway.command("explain <request>")
    .description(
      "which rules would refuse a request, and why: a file (or -) with raw HTTP or with JSON { method, path, headers, body }; " +
        "exit code 0 when it would be forwarded, 4 when refused",
    )
    .requiredOption("--config <file>", "YAML configuration of the gateway, which need not run")
    .option("--identity <name>", "the client: a URI, dns:NAME or subject:CN=NAME,O=NAME")
    .option("--authority <name>", "name of the authority of the client's certificate")
    .option("--address <ip>", "the client's address")
    .option("--unix-lines", "the head was written in an editor: take LF for CR LF")
    .option("--json", "the last line is one JSON object")
    .action(action(explain));
}

async function explain(request: string, options: ExplainOptions): Promise<number> {
  const file = absolute(options.config);
  const config = await readConfig(file, GatewayConfig);
  const input = request === "-" ? request : absolute(request);
  const documents = [
    ...Object.values(config.apis).map(({ document }) => document),
    ...config.denyNetworkFiles,
  ]
    .map((name) => besideConfig(file, name));
  const { identity, authority, address } = options;
  return await runForeground({
    name: "gateway-explain",
    module: "gateway/app/explain_main.ts",
    permissions: "gateway-explain",
    substitution: {
      [`${STANDARD_FOLDER}/gateway-a`]: [file, ...documents, ...(input === "-" ? [] : [input])],
    },
    args: [
      "--config",
      file,
      // As one word: a value could begin with a dash.
      ...Object.entries({ identity, authority, address }).flatMap(([name, value]) =>
        value === undefined ? [] : [`--${name}=${value}`]
      ),
      ...(options.unixLines ? ["--unix-lines"] : []),
      ...(options.json ? ["--json"] : []),
      "--",
      input,
    ],
  });
}
