/** `rk batch create`: opens a batch with a quota, a serial range and a profile. */

import { type Command, InvalidArgumentError } from "commander";
import { parseProfile } from "factory/domain/profile.ts";
import { encodeBatchFile } from "factory/domain/profile_batch.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute, writePrivate } from "../paths.ts";
import { createBatch } from "../spine/batch.ts";
import { withSpine } from "../spine/running.ts";

interface CreateOptions extends CommonOptions {
  profile: string;
  quantity: number;
  out: string;
  name?: string;
}

/** Registers the commands. */
export function registerBatch(program: Command): void {
  const batch = program.command("batch").description("batches of cards: quota, serial range, profile");
  batch.command("create")
    .description("open a batch; the file that it writes is what stations run")
    .requiredOption("--profile <file>", "profile, from `rk profile template`")
    .requiredOption("--quantity <n>", "how many cards, 1 to 10,000,000", quantity)
    .requiredOption("--out <file>", "batch file to write (mode 0600: it holds the profile's keys)")
    .option("--name <name>", "the batch's name; the service chooses one otherwise")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CreateOptions) => {
      const profile = parseProfile(await readProfile(absolute(options.profile)));
      const created = await withSpine(
        (line) => console.error(`rk: ${line}`),
        (spine) => createBatch(spine.batchManagerFile, profile, options.quantity, options.name),
      );
      await writePrivate(absolute(options.out), encodeBatchFile(created));
      const { profile: _, ...facts } = created;
      say(
        options,
        `Batch ${created.batch}: ${created.quantity} cards, serials ${created.firstSerial} to ${created.lastSerial}. ` +
          `Next: rk station run --batch ${options.out}`,
      );
      result(options, { ...facts, profileName: profile.name, out: options.out });
    }));
}

function quantity(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000_000) {
    throw new InvalidArgumentError("It is a whole number from 1 to 10,000,000.");
  }
  return value;
}

async function readProfile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("PROFILE_FILE", `Cannot read profile ${path}: ${(error as Error).name}`);
  }
}

defineErrors({
  PROFILE_FILE: {
    fault: "configuration",
    retry: false,
    next: "`rk profile template test-card` prints one to begin with.",
  },
});
