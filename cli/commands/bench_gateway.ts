/** `rk bench gateway`: our gateway beside nginx, HAProxy and Caddy. */

import type { Command } from "commander";
import { benchGateway, type GatewayFigures } from "../bench/gateway.ts";
import { ensureGatewayPeers } from "../bench/gateway_components.ts";
import { type SubjectName, SUBJECTS } from "../bench/gateway_subjects.ts";
import { HOME, REPOSITORY } from "../home.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute } from "../paths.ts";

interface Options extends CommonOptions {
  seconds: number;
  rounds: number;
  connections: number;
  certificates: number;
  quick?: boolean;
  peers?: string;
  only?: string;
  pinned: boolean;
  growth?: boolean;
  attack?: boolean;
}

/** Registers the command; `wholeNumber` reads its numbers. */
export function registerGatewayBench(bench: Command, wholeNumber: (text: string) => number): void {
  bench.command("gateway")
    .description(
      "requests and full handshakes a second beside nginx, HAProxy and Caddy, each connection with its own certificate",
    )
    .option(
      "--seconds <n>",
      "requests, and handshakes, through each gateway, all rounds together",
      wholeNumber,
      15,
    )
    .option("--rounds <n>", "turns; medians are reported", wholeNumber, 5)
    .option("--connections <n>", "at the same time", wholeNumber, 32)
    .option("--certificates <n>", "client certificates, used by turns", wholeNumber, 512)
    .option("--quick", "one short round, to see that everything runs")
    .option("--peers <folder>", "other configuration files for them, named as those in cli/bench/peers")
    .option("--only <names>", `some of ${SUBJECTS.join(",")}`)
    .option("--no-pinned", "let the system place gateways and load on processors")
    .option(
      "--growth",
      "also how the cost of ours grows: 10 to 10,000 rules, a million networks, 10,000 idle connections",
    )
    .option(
      "--attack",
      "also how honest clients fare at ours under 5,000 slow clients and a flood of bad handshakes",
    )
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: Options) => {
      const tell = (line: string) => say(options, `  ${line}`);
      const wanted = options.only?.split(",");
      const subjects = SUBJECTS.filter((name) => wanted === undefined || wanted.includes(name));
      await ensureGatewayPeers(tell);
      await Deno.mkdir(HOME, { recursive: true });
      const folder = await Deno.makeTempDir({ dir: HOME, prefix: "bench-" });
      try {
        const measured = await benchGateway({
          folder,
          peers: options.peers === undefined ? `${REPOSITORY}/cli/bench/peers` : absolute(options.peers),
          seconds: options.quick ? 1 : Math.max(1, options.seconds),
          rounds: options.quick ? 1 : Math.max(1, options.rounds),
          connections: Math.max(1, options.connections),
          certificates: Math.max(options.quick ? 64 : options.certificates, options.connections),
          pinned: options.pinned && navigator.hardwareConcurrency > 1,
          subjects,
          growth: options.growth ?? false,
          attack: options.attack ?? false,
          tell,
        });
        for (const name of subjects) say(options, line(name, measured[name]!));
        for (const [name, ratio] of Object.entries(measured.ratio)) {
          say(
            options,
            `ours to ${name}: requests ${ratio.requests}, p99 ${ratio.p99}, handshakes ${ratio.handshakes}, ` +
              `processor time ${ratio.cpu}`,
          );
        }
        if (measured.growth !== undefined) say(options, JSON.stringify(measured.growth, null, 2));
        if (measured.attack !== undefined) say(options, JSON.stringify(measured.attack, null, 2));
        result(options, measured);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }));
}

function line(name: SubjectName, figures: GatewayFigures): string {
  return `${name}: ${figures.requestsPerSecond} requests a second (p50 ${figures.p50Ms} ms, p99 ${figures.p99Ms} ms, ` +
    `${figures.cpuUsPerRequest} us of processor each), ${figures.handshakesPerSecond} handshakes a second, ` +
    `${figures.memoryMB} MB, ${figures.failed} failed`;
}
