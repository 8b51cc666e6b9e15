/**
 * The updater's metadata client alone, in the command-line protocol of the TUF conformance suite.
 *
 *     tuf_client_main.ts --metadata-dir DIR init ROOT
 *     tuf_client_main.ts --metadata-dir DIR --metadata-url URL refresh
 *     tuf_client_main.ts --metadata-dir DIR --metadata-url URL --target-name PATH --target-base-url URL --target-dir DIR download
 *
 * Exit code 0: it did what it says; 1: it did not, and the last line on standard error says why.
 */

import { parseArgs } from "node:util";
import { CodedError } from "shared/base/errors.ts";
import { openTufClient } from "../update/tuf/client.ts";
import { httpSource } from "../update/tuf/http_source.ts";
import { initTrust } from "../update/tuf/trust_store.ts";
import "../update/tuf/errors.ts";

const OPTIONS = {
  "metadata-dir": { type: "string" },
  "metadata-url": { type: "string" },
  "target-name": { type: "string" },
  "target-base-url": { type: "string" },
  "target-dir": { type: "string" },
} as const;

/** Runs one command. @throws {CodedError} those of openTufClient and of its methods, `TUF_OPTIONS`. */
async function run(args: readonly string[]): Promise<void> {
  const { values, positionals: [verb, rootFile] } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  const need = (name: keyof typeof OPTIONS) => {
    const value = values[name];
    if (value === undefined) throw new CodedError("TUF_OPTIONS", `Cannot ${verb}: --${name} is missing`);
    return value;
  };
  const metadataDir = need("metadata-dir");
  if (verb === "init") {
    if (rootFile === undefined) {
      throw new CodedError("TUF_OPTIONS", "Cannot init: the file of a root is missing");
    }
    return initTrust(metadataDir, await Deno.readFile(rootFile));
  }
  if (verb !== "refresh" && verb !== "download") {
    throw new CodedError("TUF_OPTIONS", `Cannot run ${verb}: it is none of init, refresh, download`);
  }
  const download = verb === "download";
  using client = openTufClient({
    metadataDir,
    metadataBaseUrl: need("metadata-url"),
    ...(download ? { targetsDir: need("target-dir"), targetsBaseUrl: need("target-base-url") } : {}),
    source: httpSource(),
  });
  await client.refresh();
  if (download) await client.download(need("target-name"));
}

/**
 * Runs one command and tells why it failed.
 * @param tell where a failure is told.
 * @returns exit code.
 */
export async function runTufClient(
  args: readonly string[],
  tell: (line: string) => void = (line) => console.error(line),
): Promise<number> {
  try {
    await run(args);
    return 0;
  } catch (error) {
    const words = error instanceof CodedError
      ? `${error.message} (${error.code}). ${error.row.next}`
      : `Cannot run: ${error instanceof Error ? error.message : "unknown"}`;
    tell(`rk tuf-client: ${words}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await runTufClient(Deno.args));
