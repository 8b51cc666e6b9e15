/** `rk gateway check | diff | reload | upgrade | rollback | history | status`: change without harm. */

import type { Command } from "commander";
import { GatewayConfig } from "gateway/app/config.ts";
import { readConfig } from "gateway/app/config_file.ts";
import { diffConfigs } from "gateway/app/config_diff.ts";
import "gateway/transport/errors.ts";
import { askControl, type ControlRequest, stateFolder } from "../gateway/control.ts";
import { History } from "../gateway/history.ts";
import { gatewaySpec } from "../gateway/spec.ts";
import { userName } from "../gateway/supervisor.ts";
import { action, type CommonOptions, explain, result, say } from "../output.ts";
import { absolute } from "../paths.ts";
import { runCollected } from "../process/foreground.ts";

/** Help of `--state`. */
export const STATE_OPTION = "folder of the gateway's state: control socket and taken configurations";

/** The state folder: the one that was named, or the one that belongs to the configuration file. */
export function stateOf(file: string, state: string | undefined): string {
  return state === undefined ? stateFolder(file) : absolute(state);
}

interface Options extends CommonOptions {
  readonly config: string;
  readonly state?: string;
  readonly to?: number;
}

const JSON_OPTION = ["--json", "the last line is one JSON object"] as const;

/** Registers the commands below `gateway`. */
export function registerChange(gateway: Command): void {
  gateway.command("check <file>")
    .description("check a configuration and everything it names, without serving")
    .option(...JSON_OPTION)
    .action(action(async (file: string, options: CommonOptions) => await check(absolute(file), options)));
  gateway.command("diff <old> <new>")
    .description(
      "what changes from one configuration to another: by route, rule and upstream; defaults are filled in",
    )
    .option(...JSON_OPTION)
    .action(action(async (older: string, newer: string, options: CommonOptions) => {
      const [a, b] = [
        await readConfig(absolute(older), GatewayConfig),
        await readConfig(absolute(newer), GatewayConfig),
      ];
      const diff = diffConfigs(a, b);
      for (const { kind, subject, detail } of diff.changes) {
        say(options, `${MARKS[kind]} ${subject}${detail === "" ? "" : `: ${detail}`}`);
      }
      say(options, diff.changes.length === 0 ? "no difference" : `taken by: ${WAYS[diff.way]}`);
      result(options, diff);
    }));

  const verb = (name: string, description: string) =>
    gateway.command(name).description(description)
      .requiredOption("--config <file>", "configuration of the running gateway")
      .option("--state <folder>", STATE_OPTION)
      .option(...JSON_OPTION);
  verb("reload", "take the file anew, whole or not at all; in place with a new process where that is needed")
    .action(action(async (options: Options) => await change("reload", options)));
  verb(
    "upgrade",
    "replace the gateway's process in place, on the same socket: new program, same or new configuration",
  )
    .action(action(async (options: Options) => await change("upgrade", options)));
  verb("rollback", "write an earlier configuration to the file and take it")
    .option("--to <generation>", "which; the one before the current when absent", Number)
    .action(action(async (options: Options) => await change("rollback", options)));
  verb("status", "what runs: addresses, processes, generation")
    .action(action(async (options: Options) => await change("status", options)));
  verb("history", "configurations that were taken, with when, by whom and how")
    .action(action(async (options: Options) => {
      const generations = await new History(stateOf(absolute(options.config), options.state)).list();
      for (const { generation, at, by, how, sha256, restores } of generations) {
        const back = restores === undefined ? "" : ` to ${restores}`;
        say(options, `${generation}  ${at}  ${how}${back}  ${by}  ${sha256.slice(0, 12)}`);
      }
      if (generations.length === 0) say(options, "nothing was taken yet");
      result(options, { generations });
    }));
}

const MARKS = { added: "+", removed: "-", changed: "~" } as const;
const WAYS = {
  none: "nothing to do",
  reload: "reload",
  upgrade: "reload, with a new process in place",
  restart: "a new start (the address changes)",
} as const;

async function check(file: string, options: CommonOptions): Promise<number> {
  const config = await readConfig(file, GatewayConfig);
  const { code, errors } = await runCollected(gatewaySpec(file, config, undefined, ["--check"]));
  if (code === 0) {
    say(options, `${file}: good (${config.routes.length} routes)`);
    result(options, { ok: true, config: file, routes: config.routes.length });
  } else {
    console.error(errors.trimEnd());
    result(options, { ok: false, config: file, exitCode: code, message: errors.trim() });
  }
  return code;
}

async function change(verb: ControlRequest["verb"], options: Options): Promise<number> {
  const file = absolute(options.config);
  try {
    const answer = await askControl(stateOf(file, options.state), {
      verb,
      by: userName(),
      ...(options.to === undefined ? {} : { to: options.to }),
    });
    for (const [key, value] of Object.entries(answer)) {
      say(options, `${key.padEnd(12)}${typeof value === "object" ? JSON.stringify(value) : String(value)}`);
    }
    result(options, answer);
    return 0;
  } catch (error) {
    return explain(error, options);
  }
}
