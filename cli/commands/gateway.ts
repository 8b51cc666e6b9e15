/** `rk gateway --config FILE`: the gateway alone, in front of any upstream. */

import type { Command } from "commander";
import { GatewayConfig, listSources } from "gateway/app/config.ts";
import { tracingEnvironment } from "gateway/app/tracing.ts";
import { readConfig } from "gateway/app/config_file.ts";
import { CodedError } from "shared/base/errors.ts";
import "gateway/transport/errors.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { registerEnrolment } from "./gateway_enrol.ts";
import { STANDARD, STANDARD_FOLDER, STANDARD_REVOCATION } from "../spine/layout.ts";

/** Registers the command. */
export function registerGateway(program: Command): void {
  const gateway = program.command("gateway")
    .description(
      "the edge gateway alone, in front of any upstream; gateway/example.yaml explains the configuration",
    )
    // Not a required option of commander: that would be asked of the subcommands too.
    .option("--config <file>", "YAML configuration")
    .option("--check", "check the configuration and everything it names, then end")
    .action(action(async (options: { config?: string; check?: boolean }) => {
      if (options.config === undefined) {
        throw new CodedError("GATEWAY_USAGE", "Cannot start: --config is missing");
      }
      const file = absolute(options.config);
      const config = await readConfig(file, GatewayConfig);
      return await runForeground({
        name: "gateway",
        module: "gateway/app/main.ts",
        permissions: "gateway",
        substitution: gatewaySubstitution(file, config),
        args: ["--config", file, ...(options.check ? ["--check"] : [])],
        env: tracingEnvironment(config.tracing),
      });
    }));
  // Else the --config of a subcommand would be taken for this command's.
  gateway.enablePositionalOptions();
  registerEnrolment(gateway);
}

/** The addresses and folders of a configuration, in place of those in the permission set `gateway`: net to exactly its peers. */
export function gatewaySubstitution(file: string, config: GatewayConfig): Record<string, string | string[]> {
  const folder = file.replace(/\/[^/]*$/, "");
  // Port 0 takes a free one, which canaries connect to as well: then the whole host is the peer.
  const address = (host: string, port: number) =>
    `${host.includes(":") ? `[${host}]` : host}${port === 0 ? "" : `:${port}`}`;
  const { serverName } = config.canaries;
  const upstreams = Object.values(config.upstreams).flatMap(({ instances }) =>
    instances.flatMap(({ url, health }) => [url, ...(health ? [health] : [])].map(hostAndPort))
  );
  const files = [
    config.listen.certificate,
    config.listen.key,
    ...config.clients.authorities.flatMap((each) => [
      each.certificate,
      ...listSources(each).filter(({ isUrl }) => !isUrl).map(({ name }) => name),
    ]),
    config.canaries.serverAuthority,
    ...[config.canaries.valid, config.canaries.expired, config.canaries.revoked]
      .flatMap(({ certificate, key }) => [certificate, key]),
    ...Object.values(config.upstreams).flatMap(({ tls }) =>
      tls ? [tls.certificate, tls.key, ...tls.authorities] : []
    ),
  ].map((path) => path.startsWith("/") ? path : `${folder}/${path}`);
  return {
    [STANDARD.gatewayA.listen]: [
      address(config.listen.address, config.listen.port),
      ...(serverName
        ? [address(serverName, config.listen.port), address(serverName, config.admin.port)]
        : []),
    ],
    [STANDARD.gatewayA.admin]: address(config.admin.address, config.admin.port),
    [STANDARD_REVOCATION]: config.clients.authorities.flatMap(({ revocationUrls }) =>
      revocationUrls.map(hostAndPort)
    ),
    [STANDARD.attestationA.listen]: upstreams,
    [STANDARD.attestationA.admin]: upstreams,
    [STANDARD.attestationB.listen]: upstreams,
    [STANDARD.attestationB.admin]: upstreams,
    [`${STANDARD_FOLDER}/gateway-a`]: [file, ...files],
    [`${STANDARD_FOLDER}/pki`]: files,
  };
}

function hostAndPort(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
}
