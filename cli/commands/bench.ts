/** `rk bench ...`: performance, measured beside its physical limit. */

import { type Command, InvalidArgumentError } from "commander";
import { benchAttest } from "../bench/attest.ts";
import { benchBatch } from "../bench/batch.ts";
import { benchCard, type CardToolBench } from "../bench/card.ts";
import { benchLog } from "../bench/log.ts";
import { benchStation } from "../bench/station.ts";
import { benchFolder } from "../bench/folder.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { startSpine } from "../spine/spine.ts";
import { registerGatewayBench } from "./bench_gateway.ts";
import { registerProviderBench } from "./bench_provider.ts";
import { registerUpdateBench } from "./bench_update.ts";

interface StationOptions extends CommonOptions {
  real?: boolean;
  apduDelayMs: number;
  cards: number;
}

interface CardOptions extends CommonOptions {
  rounds: number;
}

interface LogOptions extends CommonOptions {
  seconds: number;
}

/** Registers the commands. */
export function registerBench(program: Command): void {
  const bench = program.command("bench").description("performance, measured beside its physical limit");
  registerCardBench(bench);
  registerLogBench(bench);
  registerAttestBench(bench);
  registerBatchBench(bench);
  registerGatewayBench(bench, wholeNumber);
  registerProviderBench(bench, wholeNumber);
  registerUpdateBench(bench, wholeNumber);
  bench.command("station")
    .description("host milliseconds a card, APDUs a card, cards a minute over 1, 2 and 4 readers")
    .option("--real", "over pcscd with vpcd, SoftHSM2 and PostgreSQL")
    .option("--apdu-delay-ms <n>", "time that a card takes for each APDU", wholeNumber, 30)
    .option("--cards <n>", "cards through each reader", wholeNumber, 10)
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: StationOptions) => {
      await using own = await benchFolder();
      const { folder } = own;
      const tell = (line: string) => say(options, `  ${line}`);
      const spine = await startSpine({ folder, real: options.real ?? false, tell });
      try {
        const measured = await benchStation({
          folder,
          spine,
          real: options.real ?? false,
          apduDelayMs: options.apduDelayMs,
          cardsPerReader: options.cards,
          tell,
        });
        const { hostMsPerCard: host, hostMsPerCardAtDelay: beside, cardsPerMinute: rate } = measured;
        say(
          options,
          `host ${host.p50} ms a card (p99 ${host.p99}), ${measured.apdusPerCard} APDUs a card; ` +
            `beside a chip of ${measured.apduDelayMs} ms an APDU ${beside.p50} ms (p99 ${beside.p99})\n` +
            `cards a minute: ${rate[1]} on 1 reader, ${rate[2]} on 2, ${
              rate[4]
            } on 4 (${measured.scaling4} times 1)\n` +
            `the chip alone allows ${measured.chipLimit.cardsPerMinute} on 1 reader; reached ${measured.chipLimit.reached}`,
        );
        result(options, measured);
      } finally {
        await spine.stop();
      }
    }));
}

function registerCardBench(bench: Command): void {
  bench.command("card")
    .description(
      "APDUs and host milliseconds of list, install and delete, ours beside other tools on this machine",
    )
    .option("--rounds <n>", "measured rounds; medians are reported", wholeNumber, 3)
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CardOptions) => {
      await using own = await benchFolder();
      const { folder } = own;
      const tell = (line: string) => say(options, `  ${line}`);
      const measured = await benchCard({ folder, rounds: Math.max(1, options.rounds), tell });
      const words = (name: string, tool: CardToolBench) =>
        (["list", "install", "delete"] as const)
          .map((verb) => `${name} ${verb}: ${tool[verb].apdus} APDUs, ${tool[verb].ms} ms`).join("\n");
      say(options, words("ours", measured.ours));
      for (const [name, peer] of Object.entries(measured.peers)) {
        if ("list" in peer) say(options, words(name, peer));
        else {say(
            options,
            `${name}: ${"absent" in peer ? `absent, ${peer.absent}` : `failed, ${peer.failed}`}`,
          );}
      }
      // Each tool stands beside ours under its own name.
      const { peers, ...rest } = measured;
      result(options, { ...rest, ...peers });
    }));
}

function registerLogBench(bench: Command): void {
  bench.command("log")
    .description(
      "log entries a second, committed and in a signed checkpoint, and what a proof costs at three sizes",
    )
    .option("--seconds <n>", "time of appending", wholeNumber, 8)
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: LogOptions) => {
      await using own = await benchFolder();
      const { folder } = own;
      const measured = await benchLog({
        folder,
        seconds: Math.max(1, options.seconds),
        tell: (line) => say(options, `  ${line}`),
      });
      const { limit, appendMs } = measured;
      say(
        options,
        `${measured.entriesPerSecond} entries a second (${measured.callers} callers, ${measured.checkpoints} checkpoints; ` +
          `append ${appendMs.p50} ms, p99 ${appendMs.p99})\n` +
          `PostgreSQL alone: ${limit.insertsPerSecond} rows a second in groups, ${limit.singleCommitsPerSecond} one by one; ` +
          `the disk: ${limit.fsyncsPerSecond} fsyncs a second`,
      );
      for (const [size, proof] of Object.entries(measured.proof)) {
        say(options, `a proof at ${size} entries: ${proof.bytes} bytes, ${proof.ms} ms`);
      }
      result(options, measured);
    }));
}

function registerAttestBench(bench: Command): void {
  bench.command("attest")
    .description(
      "cards a second that the attestation service reserves and attests, beside the token's own rate",
    )
    .option("--seconds <n>", "how long each load lasts", wholeNumber, 3)
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions & { seconds: number }) => {
      await using own = await benchFolder();
      const { folder } = own;
      const tell = (line: string) => say(options, `  ${line}`);
      const spine = await startSpine({ folder, real: true, tell });
      try {
        const measured = await benchAttest({ spine, seconds: Math.max(1, options.seconds), tell });
        const { perSecond, share, throughGateways: through, cpuMsPerCard: cpu } = measured;
        say(
          options,
          `${perSecond["16"]} cards a second with 16 stations (p99 of a request ${measured.p99Ms} ms), ` +
            `${through.perSecond} through the gateways\n` +
            `the token alone signs ${measured.tokenSignsPerSecond} a second; reached ${share}\n` +
            `processor time a card: service ${cpu.service} ms, database ${cpu.database} ms, load ${cpu.load} ms, ` +
            `on ${measured.processors} processors together`,
        );
        result(options, measured);
      } finally {
        await spine.stop();
      }
    }));
}

function registerBatchBench(bench: Command): void {
  bench.command("batch")
    .description(
      "a large batch: report, close, export and verify, with the longest request and the memory they take",
    )
    .option(
      "--cards <n>",
      "cards of the batch; 100,000 take some ten minutes on two processors",
      wholeNumber,
      2000,
    )
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions & { cards: number }) => {
      await using own = await benchFolder();
      const { folder } = own;
      const tell = (line: string) => say(options, `  ${line}`);
      const spine = await startSpine({ folder, real: true, tell });
      try {
        const measured = await benchBatch({ spine, cards: Math.max(100, options.cards), tell });
        const { peakMb } = measured;
        say(
          options,
          `${measured.cards} cards, ${measured.missing} declared missing: closed in ${measured.close} s, exported in ` +
            `${measured.export} s (${measured.exportMb} MB), verified in ${measured.verify} s\n` +
            `longest request ${measured.longestRequestMs} ms; memory at most: service ${peakMb.service} MB ` +
            `(before ${peakMb.serviceBefore}), export ${peakMb.export} MB, verify ${peakMb.verify} MB, ` +
            `with a proof ${peakMb.proof} MB`,
        );
        result(options, measured);
      } finally {
        await spine.stop();
      }
    }));
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("It is a whole number.");
  return value;
}
