/** `rk demo`: the spine on embedded defaults, watched. */

import type { Command } from "commander";
import { liveScreen, plainScreen } from "factory/app/screen/live_screen.ts";
import { CodedError } from "shared/base/errors.ts";
import { ensureComponents, ensurePkcs11Binding, installLine } from "../components.ts";
import { type DemoResult, runDemo } from "../demo/demo.ts";
import { logsLine } from "../demo/logs.ts";
import { table } from "../demo/table.ts";
import { HOME } from "../home.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { DEFAULT_SPINE } from "../spine/layout.ts";
import { refuseWhenRunning } from "../spine/running.ts";
import { howToTalk } from "./spine.ts";

interface DemoCommandOptions extends CommonOptions {
  keep?: boolean;
  real?: boolean;
}

const CARDS = 12;
const READERS = 4;

/** Registers the command. */
export function registerDemo(program: Command): void {
  program.command("demo")
    .description(
      "bring the spine up, make 12 cards genuine on 4 readers while a gateway stops, back a seed up, restore and delete it, update a card",
    )
    .option("--keep", "leave it running and say how to talk to it")
    .option("--real", "over pcscd with vpcd, SoftHSM2 and PostgreSQL instead of the embedded defaults")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: DemoCommandOptions) => {
      const started = performance.now();
      const folder = options.keep ? DEFAULT_SPINE : await temporaryFolder();
      if (options.keep) await refuseWhenRunning();
      if (options.real) await ensureReal((line) => say(options, `  ${line}`));
      say(
        options,
        options.real
          ? "Demo over pcscd and vpcd, SoftHSM2, PostgreSQL. The keys are in files: not for production."
          : "Demo on embedded defaults: software HSM, PGlite, virtual readers. Not for production.",
      );
      const live = Deno.stdout.isTerminal() && !options.json;
      const screen = live
        ? await liveScreen({ color: Deno.env.get("NO_COLOR") === undefined })
        : plainScreen((line) => say(options, line));
      let isShown = false;
      try {
        const shown = await runDemo({
          folder,
          cards: CARDS,
          readers: READERS,
          real: options.real ?? false,
          keep: options.keep ?? false,
          tell: (line) => say(options, `  ${line}`),
          onEvent: screen.sink,
          ...(options.keep && options.real
            ? {
              inspect: async (spine, _, readers) => {
                for (const [name, value] of Object.entries(readers.env)) {
                  say(options, `export ${name}=${value}`);
                }
                say(options, `${howToTalk(spine.descriptor)}\nRunning until Ctrl-C or SIGTERM.`);
                await untilSignal();
              },
            }
            : {}),
          onLineEnd: () => {
            screen.close();
            say(options, "  the wallet checks every card");
          },
          onRecover: (line) => say(options, `  recover: ${line}`),
          onUpdate: (line) => say(options, `  update: ${line}`),
        });
        const seconds = Math.round((performance.now() - started) / 100) / 10;
        say(
          options,
          "\n" + table([
            ["serial", "outcome", "wallet", "APDUs", "ms", "certificate SHA-256"],
            ...shown.cards.map((card) => [
              card.serial,
              card.outcome,
              card.wallet,
              card.apdus,
              card.milliseconds,
              `${card.certificate.slice(0, 16)}...`,
            ]),
          ]),
        );
        const { attested, failed, gatewayFailovers, logs, recover, update } = shown;
        say(
          options,
          `\n${attested} of ${CARDS} cards attested and genuine in ${seconds} s; ` +
            `gateway A was stopped half-way; requests that went to B instead: ${gatewayFailovers}.\n${
              logsLine(logs)
            }`,
        );
        if (options.keep && !options.real) say(options, `\n${howToTalk(shown.spine)}`);
        result(options, {
          cards: shown.cards,
          attested,
          failed,
          gatewayFailovers,
          seconds,
          logs,
          recover,
          update,
        });
        const faults = faultsOf(shown);
        for (const fault of faults) say(options, `FAILED: ${fault}`);
        isShown = faults.length === 0;
        return isShown ? 0 : 1;
      } finally {
        if (isShown && !options.keep) await Deno.remove(folder, { recursive: true }).catch(() => {});
        if (!isShown) {
          console.error(`What went wrong is in ${folder}/logs; remove ${folder} when you have read it.`);
        }
      }
    }));
}

/** What did not go as it has to. */
function faultsOf({ cards, logs, recover, update }: DemoResult): string[] {
  return [
    ...cards.filter(({ outcome, wallet }) => outcome !== "attested" || wallet !== "genuine")
      .map(({ serial, outcome, wallet }) => `card ${serial}: ${outcome}, wallet: ${wallet}`),
    ...Object.entries(recover).filter(([, happened]) => !happened).map(([part]) => `recover: ${part}`),
    ...(update.seedKept ? [] : ["update: the seed on the card is not what it was"]),
    ...logs.filter(({ verified }) => !verified).map(({ name }) => `log of ${name}: does not verify`),
  ];
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => resolve());
  });
}

async function temporaryFolder(): Promise<string> {
  await Deno.mkdir(HOME, { recursive: true });
  return await Deno.makeTempDir({ dir: HOME, prefix: "demo-" });
}

/** @throws {CodedError} `COMPONENT_MISSING` with the line that installs what is not there. */
async function ensureReal(tell: (line: string) => void): Promise<void> {
  const missing = await ensureComponents(tell);
  if (missing.length > 0) {
    throw new CodedError(
      "COMPONENT_MISSING",
      `Cannot run for real: ${missing.map(({ name }) => name).join(", ")} missing. ${installLine(missing)}`,
    );
  }
  await ensurePkcs11Binding(tell);
}
