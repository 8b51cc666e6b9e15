/** The project's own source files, for checks. */

import { REPOSITORY } from "../home.ts";

/** Top-level folders that hold code. */
export const CODE_FOLDERS = [
  "shared",
  "gateway",
  "factory",
  "providers",
  "orchestrator",
  "device",
  "cli",
  "tests",
] as const;

/** Files below a folder (relative to the repository) whose names the test accepts, sorted. */
export async function filesBelow(folder: string, accept: (name: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(`${REPOSITORY}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await filesBelow(path, accept));
    else if (accept(entry.name)) found.push(path);
  }
  return found.sort();
}

/** Every TypeScript file of the project. */
export async function sourceFiles(): Promise<string[]> {
  const all = await Promise.all(
    CODE_FOLDERS.map((folder) => filesBelow(folder, (name) => name.endsWith(".ts"))),
  );
  return all.flat();
}
