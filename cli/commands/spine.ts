/** `rk spine start | stop | status | card`: keeps a local spine for other commands, and makes blank cards for it. */

import type { Command } from "commander";
import { createLogger } from "shared/base/log.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openToken } from "factory/app/token_config.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute, writePrivate } from "../paths.ts";
import { blankCard } from "../spine/card_maker.ts";
import { DEFAULT_SPINE } from "../spine/layout.ts";
import { COMPANION_FILE, MAKER_FILE, PROVIDERS, type RecoverAddresses } from "../spine/recover/layout.ts";
import { WALLET_UPDATE_FILE } from "../spine/update/layout.ts";
import { refuseWhenRunning, runningSpine, stopRunningSpine } from "../spine/running.ts";
import { type SpineDescriptor, startSpine } from "../spine/spine.ts";
import { STANDARD_READER } from "./card.ts";
import { tokenOf } from "./token.ts";

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
        update: true,
        outlives: true,
        tell: (line) => say(options, `  ${line}`),
      });
      try {
        say(options, "  Recover's providers and orchestrators");
        await started.startRecover();
        say(options, "  the update service, its vault and a repository of releases");
        await started.startUpdate();
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
  spine.command("card")
    .description(
      "what a blank virtual card of this spine is, for `rk card --options`: its keys, by the spine's masters",
    )
    .requiredOption("--out <file>", "where it is written, for its owner alone; it holds the keys of one card")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions & { readonly out: string }) => {
      const hsm = await openToken(
        await tokenOf({}),
        createLogger("spine", { level: "error", write: (line) => console.error(line) }),
      );
      const card = await blankCard(hsm, SYSTEM_RANDOM);
      const out = absolute(options.out);
      await writePrivate(out, `${JSON.stringify(card, null, 2)}\n`);
      say(
        options,
        `A blank card: rk card --vpcd ${STANDARD_READER} --state ${
          out.replace(/(\.json)?$/, ".card")
        } --options ${out}`,
      );
      result(options, { out, keyDiversificationData: card.keyDiversificationData });
    }));
}

/** How to talk to a kept spine, for people. */
export function howToTalk({ folder, addresses, databaseUrl, recover, update }: SpineDescriptor): string {
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
    ...(update
      ? [
        `  blank cards   ./rk spine card --out blank.json`,
        `                ./rk card --vpcd ${STANDARD_READER} --state blank.card --options blank.json`,
        `  update        ./rk wallet update --check --reader NAME --config ${folder}/${WALLET_UPDATE_FILE}`,
        `                from a blank card to an update, by hand: docs/operations/update.md`,
        `                ./rk release show --folder ${folder}/update/repository`,
      ]
      : []),
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
