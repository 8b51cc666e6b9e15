/** `rk bench provider`. */

import type { Command } from "commander";
import { benchProvider } from "../bench/provider.ts";
import { action, type CommonOptions, result, say } from "../output.ts";

interface ProviderOptions extends CommonOptions {
  rounds: number;
  rows: number;
}

const SMALL = 10_000;

/** Registers it below `bench`. */
export function registerProviderBench(bench: Command, wholeNumber: (text: string) => number): void {
  bench.command("provider")
    .description(
      "backups, restores and deletions of one provider, where their time goes, and lookups among many rows",
    )
    .option("--rounds <n>", "acts of each kind", wholeNumber, 60)
    .option(
      "--rows <n>",
      "the larger number of rows; 1,000,000 take 2 GB of disk for a while",
      wholeNumber,
      1_000_000,
    )
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: ProviderOptions) => {
      const measured = await benchProvider({
        rounds: Math.max(1, options.rounds),
        rows: [...new Set([Math.min(SMALL, options.rows), options.rows])],
        tell: (line) => say(options, `  ${line}`),
      });
      const { perCore, ms, requests, curve } = measured;
      say(
        options,
        `a second and core: ${perCore.backups} backups, ${perCore.restores} restores, ${perCore.deletes} deletions\n` +
          (["backup", "restore"] as const).map((act) =>
            `one ${act}: ${ms[act].total} ms (HSM ${ms[act].hsm}, curve ${ms[act].curve}, database ${
              ms[act].database
            }, ` +
            `rest ${ms[act].rest}), ${requests[act]} requests; ` +
            `curve ${curve.timesSlower[act]} times that of ${
              curve.by ?? "nothing: python3-cryptography is absent"
            }`
          ).join("\n"),
      );
      for (const [rows, { lookupBuffers, lookupP99Ms, insertP99Ms }] of Object.entries(measured.rows)) {
        say(
          options,
          `${rows} rows: ${lookupBuffers} buffers a lookup, p99 ${lookupP99Ms} ms; insert p99 ${insertP99Ms} ms`,
        );
      }
      result(options, measured);
    }));
}
