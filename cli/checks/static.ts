/** The static checks that one task runs: frozen lock, format, lint, types, doc lint, layers, error codes, machine paths. */

import { DENO, REPOSITORY } from "../home.ts";
import { checkErrorCodes } from "./error_codes.ts";
import { checkLayers } from "./layers.ts";
import { CODE_FOLDERS, sourceFiles } from "./files.ts";

/** Result of one check. `output` says what is wrong, for people. */
export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  readonly output: string;
}

async function deno(args: readonly string[]): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(DENO, {
    args: [...args],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { success, output: (decoder.decode(stdout) + decoder.decode(stderr)).trim() };
}

const isCode = (file: string) => !file.endsWith("_test.ts") && !file.startsWith("tests/");

/** Words that must not stand in tracked files: paths of one machine, hosts of package registries. */
const FORBIDDEN = [/(?<![\w.])\/(?:work|root|home\/[a-z]+)\//, /registry\.[a-z]+js\.org/, /\bjsr\.io\b/];

async function forbiddenWords(): Promise<CheckResult> {
  const { stdout } = await new Deno.Command("git", { args: ["ls-files", "-z"], cwd: REPOSITORY }).output();
  const hits: string[] = [];
  for (const file of new TextDecoder().decode(stdout).split("\0").filter(Boolean)) {
    if (file.startsWith("tests/vectors/data/") || file === "deno.lock" || file === "cli/checks/static.ts") {
      continue;
    }
    const text = await Deno.readTextFile(`${REPOSITORY}/${file}`).catch(() => "");
    text.split("\n").forEach((line, i) => {
      if (FORBIDDEN.some((pattern) => pattern.test(line))) hits.push(`${file}:${i + 1}: ${line.trim()}`);
    });
  }
  return { name: "no machine paths", passed: hits.length === 0, output: hits.join("\n") };
}

/** The checks by name, in the order in which they run. */
export const STATIC_CHECKS: Readonly<Record<string, () => Promise<CheckResult>>> = {
  "lock": async () => {
    const { success, output } = await deno(["install", "--frozen", "--quiet"]);
    return { name: "lock", passed: success, output };
  },
  "format": async () => {
    const { success, output } = await deno(["fmt", "--check", ...CODE_FOLDERS, "deno.json"]);
    return { name: "format", passed: success, output };
  },
  "lint": async () => {
    const { success, output } = await deno(["lint", "--quiet", ...CODE_FOLDERS]);
    return { name: "lint", passed: success, output };
  },
  "types": async () => {
    const { success, output } = await deno(["check", "--quiet", ...(await sourceFiles())]);
    return { name: "types", passed: success, output };
  },
  "doc lint": async () => {
    const undocumented = await undocumentedExports((await sourceFiles()).filter(isCode));
    return { name: "doc lint", passed: undocumented.length === 0, output: undocumented.join("\n") };
  },
  "layers": async () => {
    const violations = await checkLayers(await sourceFiles());
    const lines = violations.map((each) => `${each.from} -> ${each.to}: ${each.rule}`);
    return { name: "layers", passed: lines.length === 0, output: lines.join("\n") };
  },
  "error codes": async () => {
    const missing = await checkErrorCodes(await sourceFiles());
    return { name: "error codes", passed: missing.length === 0, output: missing.join("\n") };
  },
  "no machine paths": forbiddenWords,
};

/** A symbol in the JSON of `deno doc`. */
export interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly declarationKind: string;
    /** `reference`: exported again; the docstring is where it is declared. */
    readonly kind: string;
    readonly jsDoc?: { readonly doc?: string };
    readonly location: { readonly filename: string; readonly line: number };
  }[];
}

/**
 * Exported symbols without a docstring. `deno doc --lint` also refuses types of npm packages in signatures, which we want
 * (zod, hono); so its JSON is read and only the missing docstrings are reported.
 */
async function undocumentedExports(files: readonly string[]): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(DENO, {
    args: ["doc", "--json", ...files],
    cwd: REPOSITORY,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) return [new TextDecoder().decode(stderr)];
  return readUndocumented(JSON.parse(new TextDecoder().decode(stdout)));
}

/** The part of `deno doc --json` that the check reads. */
export interface DocReport {
  readonly nodes: Readonly<Record<string, { readonly symbols?: readonly DocSymbol[] }>>;
}

/** Undocumented exports in the JSON of `deno doc`. Overloads, and a type beside a value of its name, share one docstring. */
export function readUndocumented(report: DocReport): string[] {
  const missing: string[] = [];
  for (const [file, { symbols = [] }] of Object.entries(report.nodes)) {
    for (const { name, declarations } of symbols) {
      const exported = declarations.filter((each) =>
        each.declarationKind === "export" && each.kind !== "reference"
      );
      const here = exported.filter((each) => each.location.filename === file);
      if (here.length === 0 || exported.some((each) => each.jsDoc?.doc)) continue;
      missing.push(`${file.replace(`file://${REPOSITORY}/`, "")}:${here[0]!.location.line}: ${name}`);
    }
  }
  return missing.sort();
}
