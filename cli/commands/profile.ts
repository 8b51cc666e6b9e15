/** `rk profile template NAME`: a profile to begin with, every field explained. */

import { Argument, type Command } from "commander";
import { profileTemplate, TEMPLATE_NAMES } from "factory/domain/profile_template.ts";
import { action } from "../output.ts";

/** Registers the command. */
export function registerProfile(program: Command): void {
  const profile = program.command("profile").description("what a batch's cards are and become");
  profile.command("template")
    .description("print a profile in which every field is explained; edit it by hand for a foreign card")
    .addArgument(new Argument("<name>", "which one").choices([...TEMPLATE_NAMES]))
    .action(action((name: string) => {
      console.log(profileTemplate(name).trimEnd());
      return Promise.resolve();
    }));
}
