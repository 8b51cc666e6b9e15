/**
 * Suites with a result of their own: `rk test --only NAME --json` prints their figures instead of counts of tests. Each is a
 * program under tests/ whose last line is one JSON object with at least `passed`, `failed` and `faults`; the whole
 * `rk test` runs the same code as a test.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { ensureComponents, ensurePkcs11Binding } from "../components.ts";
import { DENO, HOME, REPOSITORY } from "../home.ts";

/** Program of each suite, relative to the repository. */
export const SUITES: Readonly<Record<string, string>> = {
  tear: "tests/faults/suites/tear_main.ts",
  kill: "tests/faults/suites/kill_main.ts",
  change: "tests/gateway/change_main.ts",
  interrupt: "tests/updater/suites/interrupt_main.ts",
  crash: "tests/faults/suites/crash_main.ts",
};

/** What a suite said. */
export interface SuiteOutcome {
  readonly exitCode: number;
  /** Its last line. */
  readonly result: Readonly<Record<string, unknown>> & { readonly passed: number; readonly failed: number };
}

/** Runs a suite. What it tells on the way goes to standard error. @throws {CodedError} `TEST_SUITE`. */
export async function runSuite(name: string, seed: string | undefined): Promise<SuiteOutcome> {
  await Deno.mkdir(HOME, { recursive: true });
  const say = (line: string) => console.error(`rk: ${line}`);
  await ensureComponents(say);
  await ensurePkcs11Binding(say);
  const { code, stdout } = await new Deno.Command(DENO, {
    args: ["run", "--quiet", "--no-check", "--frozen", "--allow-all", SUITES[name]!],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1", RK_DENO: DENO, RK_HOME: HOME, ...(seed ? { RK_SEED: seed } : {}) },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).output();
  const last = new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) ?? "";
  try {
    return { exitCode: code, result: JSON.parse(last) };
  } catch {
    throw new CodedError(
      "TEST_SUITE",
      `Cannot run suite ${name}: it ended (exit code ${code}) without a result`,
    );
  }
}

defineErrors({
  TEST_SUITE: {
    fault: "bug",
    retry: true,
    next: "The lines above say how far it came; run it again with the same --seed.",
  },
});
