/**
 * The error-code check: whoever throws a code must, when it runs, have loaded the table that says what the code means. A
 * table behind a type-only import is not loaded, and its error would be told as a fault of the program.
 */

import { REPOSITORY } from "../home.ts";
import { importEdges } from "./layers.ts";

const THROWN = /new CodedError\(\s*"([A-Z][A-Z0-9_]+)"/g;
const DEFINED = /^ {2}([A-Z][A-Z0-9_]+): (?:\{|[A-Z_]+,$|[a-z]\w*\()/gm;

/** Codes that a file throws, and codes whose rows stand in it. */
export function codesIn(source: string): { thrown: string[]; defined: string[] } {
  const thrown = [...new Set([...source.matchAll(THROWN)].map((match) => match[1]!))];
  const defined = source.includes("defineErrors(") || source.includes("ErrorRow")
    ? [...source.matchAll(DEFINED)].map((match) => match[1]!)
    : [];
  return { thrown, defined };
}

/** `file: CODE` for each code that is thrown where its row is not loaded. */
export async function checkErrorCodes(files: readonly string[]): Promise<string[]> {
  const code = files.filter((file) =>
    !file.endsWith("_test.ts") && !file.startsWith("tests/") && !file.includes("/testing/")
  );
  const sources = new Map<string, ReturnType<typeof codesIn>>();
  for (const file of code) sources.set(file, codesIn(await Deno.readTextFile(`${REPOSITORY}/${file}`)));
  const imports = new Map<string, string[]>();
  for (const { from, to, typeOnly } of await importEdges(files)) {
    if (!typeOnly) imports.set(from, [...(imports.get(from) ?? []), to]);
  }
  const missing: string[] = [];
  for (const [file, { thrown }] of sources) {
    if (thrown.length === 0) continue;
    const loaded = new Set<string>();
    for (const reached of reachable(file, imports)) {
      for (const defined of sources.get(reached)?.defined ?? []) loaded.add(defined);
    }
    missing.push(...thrown.filter((each) => !loaded.has(each)).map((each) => `${file}: ${each}`));
  }
  return missing.sort();
}

function reachable(file: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set<string>();
  const waiting = [file];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    waiting.push(...(imports.get(next) ?? []));
  }
  return seen;
}
