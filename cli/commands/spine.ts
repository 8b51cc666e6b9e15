/** `rk spine start | stop | status`: keeps a local spine for other commands. */

import type { Command } from "commander";
import { action, type CommonOptions, result, say } from "../output.ts";
import { DEFAULT_SPINE } from "../spine/layout.ts";
import { refuseWhenRunning, runningSpine, stopRunningSpine } from "../spine/running.ts";
import { type SpineDescriptor, startSpine } from "../spine/spine.ts";

/** Registers the commands. */
export function registerSpine(program: Command): void {
  const spine = program.command("spine").description(
    "the local spine: gateways, attestation services, token, database",
  );
  spine.command("start")
    .description("start it and leave it running (development only: its keys are in files)")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions) => {
      await refuseWhenRunning();
      const started = await startSpine({
        folder: DEFAULT_SPINE,
        outlives: true,
        tell: (line) => say(options, `  ${line}`),
      });
      await started.publish();
      await started.release();
      say(options, howToTalk(started.descriptor));
      result(options, { running: true, ...started.descriptor });
    }));
  spine.command("stop")
    .description("end its processes in order, the database last")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions) => {
      const stopped = await stopRunningSpine();
      say(options, stopped.length > 0 ? `stopped ${stopped.join(", ")}` : "nothing was running");
      result(options, { stopped });
    }));
  spine.command("status")
    .description("tell whether it runs, and how to talk to it")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions) => {
      const descriptor = await runningSpine();
      say(options, descriptor ? howToTalk(descriptor) : "no spine is running: `rk spine start`");
      result(options, descriptor ? { running: true, ...descriptor } : { running: false });
    }));
}

/** How to talk to a kept spine, for people. */
export function howToTalk({ folder, addresses, databaseUrl }: SpineDescriptor): string {
  const station =
    `--cacert ${folder}/pki/server.crt --cert ${folder}/station/tls.crt --key ${folder}/station/tls.key`;
  return [
    "The spine is running (development only: its keys are in files).",
    `  gateways      https://${addresses.gatewayA.listen}   https://${addresses.gatewayB.listen}`,
    `  API           curl ${station} https://${addresses.gatewayA.listen}/openapi.json`,
    `  metrics       curl http://${addresses.gatewayA.admin}/metrics   http://${addresses.attestationA.admin}/metrics`,
    `  database      psql ${databaseUrl}`,
    `  logs          ${folder}/logs`,
    `  event log     ./rk log show ${folder}/event-logs/attestation/log --trust ${folder}/event-logs/attestation.trust.json`,
    `                http://${addresses.attestationA.admin}/log   http://${addresses.gatewayA.admin}/log`,
    "  release key   ./rk hsm keys",
    "  package       ./rk package sign recovery_key.cap --out recovery_key.signed.json",
    "  batch         ./rk profile template recovery-key > profile.json",
    "                ./rk batch create --profile profile.json --quantity 10 --out batch.json",
    '  station       ./rk station run --batch batch.json --reader "NAME"',
    "  stop          ./rk spine stop",
  ].join("\n");
}
