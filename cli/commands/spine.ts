/** `rk spine start | stop | status`: keeps a local spine for other commands. */

import type { Command } from "commander";
import { action, type CommonOptions, result, say } from "../output.ts";
import { DEFAULT_SPINE } from "../spine/layout.ts";
import { COMPANION_FILE, MAKER_FILE, PROVIDERS, type RecoverAddresses } from "../spine/recover/layout.ts";
import { refuseWhenRunning, runningSpine, stopRunningSpine } from "../spine/running.ts";
import { type SpineDescriptor, startSpine } from "../spine/spine.ts";

/** Registers the commands. */
export function registerSpine(program: Command): void {
  const spine = program.command("spine").description(
    "the local spine: gateways, attestation services, Recover's providers and orchestrators, tokens, databases",
  );
  spine.command("start")
    .description("start it and leave it running (development only: its keys are in files)")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions) => {
      await refuseWhenRunning();
      const started = await startSpine({
        folder: DEFAULT_SPINE,
        recover: true,
        outlives: true,
        tell: (line) => say(options, `  ${line}`),
      });
      try {
        say(options, "  Recover's providers and orchestrators");
        await started.startRecover();
      } catch (error) {
        await started.stop();
        throw error;
      }
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
export function howToTalk({ folder, addresses, databaseUrl, recover }: SpineDescriptor): string {
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
    ...(recover ? talkToRecover(folder, recover) : []),
    "  stop          ./rk spine stop",
  ].join("\n");
}

/** Whose backup a person makes to try it. */
const ME = JSON.stringify({
  backupName: "Mine",
  firstName: "Ada",
  lastName: "Lovelace",
  dateOfBirth: "1815-12-10",
  placeOfBirth: "London",
});

/** Backup, restore and deletion by hand: one terminal for the wallet, one for its companion. */
function talkToRecover(folder: string, { orchestrators, providers }: RecoverAddresses): string[] {
  const companion = `--config ${folder}/${COMPANION_FILE}`;
  const maker = `--maker ${folder}/${MAKER_FILE}`;
  return [
    `  a wallet      ./rk wallet serve --apdu-port 8491 --state owner.json ${maker} --ask`,
    `  an empty one  ./rk wallet serve --apdu-port 8491 --state new.json ${maker} --ask --empty`,
    `  recover       echo '${ME}' > me.json`,
    `                ./rk wallet recover backup ${companion} --identity me.json`,
    `                ./rk wallet recover restore ${companion} --backup NUMBER`,
    `                ./rk wallet recover delete ${companion} --backup NUMBER`,
    "                a restore shows two links: open each, answer as in me.json, give the result back as one line",
    `  verifiers     ${PROVIDERS.map((index) => `http://${providers[index].verifier}/`).join("   ")}`,
    `  orchestrators http://${orchestrators.a.admin}/metrics   http://${orchestrators.b.admin}/metrics`,
    `  providers     ${
      PROVIDERS.map((index) => `http://${providers[index].nodes.a.admin}/metrics`).join("   ")
    }`,
    `                psql postgres://postgres@${providers[1].database}/postgres -c 'TABLE backups'`,
  ];
}
