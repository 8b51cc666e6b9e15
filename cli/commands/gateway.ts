/** `rk gateway --config FILE`: the gateway alone, in front of any upstream. */

import type { Command } from "commander";
import { GatewayConfig } from "gateway/app/config.ts";
import { readConfig } from "gateway/app/config_file.ts";
import { CodedError } from "shared/base/errors.ts";
import "gateway/transport/errors.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { gatewaySpec } from "../gateway/spec.ts";
import { superviseForeground } from "../gateway/supervisor.ts";
import { registerChange, STATE_OPTION, stateOf } from "./gateway_change.ts";
import { registerEnrolment } from "./gateway_enrol.ts";
import { registerExplanation } from "./gateway_explain.ts";

/** Registers the command. */
export function registerGateway(program: Command): void {
  const gateway = program.command("gateway")
    .description(
      "the edge gateway alone, in front of any upstream; gateway/example.yaml explains the configuration",
    )
    // Not a required option of commander: that would be asked of the subcommands too.
    .option("--config <file>", "YAML configuration")
    .option("--check", "check the configuration and everything it names, then end")
    .option("--state <folder>", STATE_OPTION)
    .action(action(async (options: { config?: string; check?: boolean; state?: string }) => {
      if (options.config === undefined) {
        throw new CodedError("GATEWAY_USAGE", "Cannot start: --config is missing");
      }
      const file = absolute(options.config);
      if (options.check) {
        const config = await readConfig(file, GatewayConfig);
        return await runForeground(gatewaySpec(file, config, undefined, ["--check"]));
      }
      return await superviseForeground(file, stateOf(file, options.state));
    }));
  // Else the --config of a subcommand would be taken for this command's.
  gateway.enablePositionalOptions();
  registerEnrolment(gateway);
  registerExplanation(gateway);
  registerChange(gateway);
}
