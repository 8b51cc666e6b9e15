/** `rk bench update`: an update's cost over the bare LOAD of the same package. */

import type { Command } from "commander";
import { benchUpdate, type UpdateBenchOptions } from "../bench/update.ts";
import { action, type CommonOptions, result, say } from "../output.ts";

/** Registers the command. @param wholeNumber reads a number of the command line. */
export function registerUpdateBench(bench: Command, wholeNumber: (text: string) => number): void {
  bench.command("update")
    .description("APDUs, bytes and seconds of an update over the bare LOAD of the same package")
    .option("--apdu-delay-ms <n>", "time that a card takes for each APDU", wholeNumber, 30)
    .option("--package-bytes <n>", "size of the package's code", wholeNumber, 16_000)
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: UpdateBenchOptions & CommonOptions) => {
      const measured = await benchUpdate(options);
      const { apdus, bytes, overheadSeconds, overheadRatio, update, load, loadBlocks } = measured;
      say(
        options,
        `update ${update.apdus} APDUs, ${update.bytes} bytes, ${update.seconds} s; ` +
          `bare load of ${loadBlocks} blocks ${load.apdus} APDUs, ${load.bytes} bytes, ${load.seconds} s\n` +
          `over it: ${apdus} APDUs, ${bytes} bytes, ${overheadSeconds} s (${overheadRatio} of the load)`,
      );
      result(options, { ...measured });
      return 0;
    }));
}
