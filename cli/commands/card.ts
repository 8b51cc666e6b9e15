/** `rk card`: the tool for any GlobalPlatform card; without a verb, the virtual card on a reader that vpcd drives. */

import type { Command } from "commander";
import { DEFAULT_SPINE, STANDARD_FOLDER } from "../spine/layout.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { registerCardTool } from "./card_tool.ts";

interface CardOptions {
  vpcd: string;
  state: string;
  options?: string;
  apduDelayMs: string;
  timing?: string;
  fault: string[];
}

/** Standard reader port of the permission set `card`. */
export const STANDARD_READER = "127.0.0.1:35963";

/** Registers the commands. */
export function registerCard(program: Command): void {
  const card = program.command("card").description(
    "what any GlobalPlatform card holds, and changes to it; without a verb, a virtual card (--vpcd, --state)",
  );
  registerCardTool(card);
  card.command("virtual", { isDefault: true })
    .description(
      "a virtual Recovery Key card on a reader that vpcd drives; it keeps its keys in a file, for tests only",
    )
    .requiredOption("--vpcd <host:port>", "where vpcd listens, usually 127.0.0.1:35963")
    .requiredOption("--state <file>", "the card's memory; made when it is not there")
    .option("--options <file>", "JSON of what a new card is (device/card/options.ts); - reads standard input")
    .option("--apdu-delay-ms <n>", "time that the chip takes for each APDU", "0")
    .option("--timing <p71|json>", "the chip's time by instruction and byte (device/card/timing.ts)")
    .option(
      "--fault <kind:index...>",
      "pull the card: before, after-execution or after-answer, at an APDU's index",
      [],
    )
    .addHelpText(
      "after",
      "\nA new card without --options is blank and has the published test keys 40..4F, version 30.",
    )
    .action(action(async (options: CardOptions) => {
      const state = absolute(options.state);
      const folder = state.replace(/\/[^/]*$/, "");
      const file = options.options === undefined || options.options === "-"
        ? options.options
        : absolute(options.options);
      return await runForeground({
        name: "card",
        module: "device/app/card_main.ts",
        permissions: "card",
        substitution: {
          [STANDARD_READER]: options.vpcd,
          [`${STANDARD_FOLDER}/cards`]: file && file !== "-" ? [folder, file] : folder,
          [STANDARD_FOLDER]: DEFAULT_SPINE,
        },
        args: [
          "--vpcd",
          options.vpcd,
          "--state",
          state,
          ...(file ? ["--options", file] : []),
          "--apdu-delay-ms",
          options.apduDelayMs,
          ...(options.timing ? ["--timing", options.timing] : []),
          ...options.fault.flatMap((fault) => ["--fault", fault]),
        ],
      });
    }));
}
