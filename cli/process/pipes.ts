/** The named pipes between a service and its vault. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { CALL_PIPES } from "shared/service/pipe_calls.ts";
import { exists } from "../paths.ts";

/** Makes the folder of the pipes and the pipes where they are not there. @throws {CodedError} `VAULT_PIPES`. */
export async function ensurePipes(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of Object.values(CALL_PIPES)) {
    const path = `${folder}/${name}`;
    if (await exists(path)) continue;
    const made = await new Deno.Command("mkfifo", { args: ["-m", "600", path], stderr: "null" }).output();
    if (!made.success) throw new CodedError("VAULT_PIPES", `Cannot make pipe ${path}`);
  }
}

defineErrors({
  VAULT_PIPES: {
    fault: "installation",
    retry: false,
    next: "Make the folder of `pipes`, of mode 0700, on a file system that has named pipes.",
  },
});
