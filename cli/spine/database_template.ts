/**
 * A new embedded database is a copy of an empty one: to make one takes seconds of work, to copy one a moment, and a local spine
 * with Recover has five. The empty one is made once for each version of PGlite and kept among the tools.
 */

import { HOME, REPOSITORY } from "../home.ts";
import { exists } from "../paths.ts";
import { type Child, type ChildSpec, startChild } from "../process/child.ts";

/** PGlite's version as the import map pins it: a database of one version is not given to another. */
async function pinnedVersion(): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(`${REPOSITORY}/deno.json`)) as {
    imports: Record<string, string>;
  };
  return imports["@electric-sql/pglite"]!.replace(/^.*@/, "");
}

let template: Promise<string> | undefined;

/** The empty database, made when it is not there. */
async function emptyDatabase(specOf: (directory: string) => ChildSpec): Promise<string> {
  const kept = `${HOME}/tools/pglite-${await pinnedVersion()}`;
  if (await exists(kept)) return kept;
  await Deno.mkdir(`${HOME}/tools`, { recursive: true });
  const making = await Deno.makeTempDir({ dir: `${HOME}/tools`, prefix: "pglite-" });
  try {
    const child: Child = await startChild(specOf(making));
    await child.stop();
    await Deno.rename(`${making}/data`, kept);
  } catch (error) {
    // Another program was faster.
    if (!await exists(kept)) throw error;
  } finally {
    await Deno.remove(making, { recursive: true });
  }
  return kept;
}

/**
 * Lays an empty database into a folder that has none.
 * @param specOf how the process of a database in a folder is started, on any address.
 */
export async function layDatabase(
  directory: string,
  specOf: (directory: string) => ChildSpec,
): Promise<void> {
  if (await exists(`${directory}/data`)) return;
  const from = await (template ??= emptyDatabase(specOf));
  const { success } = await new Deno.Command("cp", {
    args: ["-R", from, `${directory}/data`],
    stdout: "null",
    stderr: "null",
  }).output();
  // Half a copy is none: the database makes itself then.
  if (!success) await Deno.remove(`${directory}/data`, { recursive: true }).catch(() => {});
}
