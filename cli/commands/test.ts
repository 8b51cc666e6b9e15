/** `rk test`: installs what the tests need, runs everything on the real components, ends with `N passed, N failed`. */

import type { Command } from "commander";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { STATIC_CHECKS } from "../checks/static.ts";
import { sourceFiles } from "../checks/files.ts";
import { ensureComponents, ensurePkcs11Binding, installLine } from "../components.ts";
import { DENO, HOME, REPOSITORY } from "../home.ts";
import { action, type CommonOptions } from "../output.ts";
import { runSuite, SUITES } from "./test_suites.ts";

interface TestOptions extends CommonOptions {
  only?: string[];
  seed?: string;
}

interface Tally {
  passed: number;
  failed: number;
  /** Names of what failed, for the summary and for programs. */
  failures: string[];
  /** Beginning of what a failure said, by name: the summary is often all that is kept of a run. */
  reasons: Map<string, string>;
}

/** Lines and characters of a failure's message that the summary repeats. */
const REASON_LINES = 12;
const REASON_CHARACTERS = 1500;

/** Registers the command. */
export function registerTest(program: Command): void {
  program.command("test")
    .description("run every check and test on the real components; the last line is `N passed, N failed`")
    .option(
      "--only <name...>",
      `a suite (${Object.keys(SUITES)}), a static check, a folder, a file, part of a name`,
    )
    .option("--seed <number>", "seed of the randomised tests, to repeat a run")
    .option("--json", "the last line is one JSON object { passed, failed, failures }, or the suite's figures")
    .addHelpText(
      "after",
      "\nWhat is missing is installed with root or sudo; else the line that would install it is printed.",
    )
    .action(action(async (options: TestOptions) => {
      const [suite, ...others] = options.only ?? [];
      if (suite !== undefined && others.length === 0 && suite in SUITES) {
        return await suiteAlone(suite, options);
      }
      const tally: Tally = { passed: 0, failed: 0, failures: [], reasons: new Map() };
      const plan = await planOf(options.only);
      for (const name of plan.checks) await runCheck(name, tally);
      if (plan.files.length > 0) {
        await prepare(tally);
        await runTests(plan, options.seed, tally);
      }
      const { passed, failed, failures, reasons } = tally;
      for (const failure of failures) {
        console.log(`FAILED ${failure}`);
        const reason = reasons.get(failure);
        if (reason) console.log(reason.replace(/^/gm, "       "));
      }
      console.log(
        options.json ? JSON.stringify({ passed, failed, failures }) : `${passed} passed, ${failed} failed`,
      );
      return failed === 0 ? 0 : 1;
    }));
}

/** A suite by its name: its own figures are the result. */
async function suiteAlone(name: string, options: TestOptions): Promise<number> {
  const { exitCode, result } = await runSuite(name, options.seed);
  if (options.json) console.log(JSON.stringify(result));
  else {
    for (const [key, value] of Object.entries(result)) console.log(`${key}: ${JSON.stringify(value)}`);
    console.log(`${result.passed} passed, ${result.failed} failed`);
  }
  return exitCode;
}

interface Plan {
  readonly checks: string[];
  readonly files: string[];
  /** Only tests whose name holds this text. */
  readonly filter?: string;
}

async function planOf(only: readonly string[] | undefined): Promise<Plan> {
  const tests = (await sourceFiles()).filter((file) => file.endsWith("_test.ts"));
  if (!only) return { checks: Object.keys(STATIC_CHECKS), files: tests };
  const checks = only.filter((name) => name in STATIC_CHECKS);
  const rest = only.filter((name) => !(name in STATIC_CHECKS));
  const files = tests.filter((file) =>
    rest.some((name) =>
      file === name || file.startsWith(`${name.replace(/\/$/, "")}/`) || file.endsWith(`/${name}_test.ts`)
    )
  );
  if (rest.length === 0 || files.length > 0) return { checks, files };
  // Neither a file nor a folder: a part of a test's name, where some file has such a test.
  const [name] = rest as [string];
  const holding: string[] = [];
  for (const file of tests) {
    if ((await Deno.readTextFile(`${REPOSITORY}/${file}`)).includes(name)) holding.push(file);
  }
  if (rest.length > 1 || holding.length === 0) {
    throw new CodedError(
      "TEST_UNKNOWN",
      `Cannot run ${rest.join(" ")}: no check, folder, file or test has this name`,
    );
  }
  return { checks, files: holding, filter: name };
}

function count(tally: Tally, name: string, passed: boolean, output: string): void {
  if (passed) tally.passed++;
  else {
    tally.failed++;
    tally.failures.push(name);
  }
  console.log(`${passed ? "ok    " : "FAILED"} ${name}${passed || !output ? "" : `\n${output}`}`);
}

async function runCheck(name: string, tally: Tally): Promise<void> {
  const { passed, output } = await STATIC_CHECKS[name]!();
  count(tally, `check: ${name}`, passed, output);
}

/** Components are counted as tests: one that is missing fails with the line that would install it. */
async function prepare(tally: Tally): Promise<void> {
  const missing = await ensureComponents((line) => console.log(`rk: ${line}`));
  for (const component of missing) {
    count(tally, `component: ${component.name}`, false, `${component.purpose}: ${installLine([component])}`);
  }
  if (missing.length === 0) count(tally, "components", true, "");
  if (missing.some((component) => component.name === "npm" || component.name === "compiler")) return;
  try {
    await ensurePkcs11Binding((line) => console.log(`rk: ${line}`));
    count(tally, "component: PKCS#11 binding", true, "");
  } catch (error) {
    count(tally, "component: PKCS#11 binding", false, error instanceof Error ? error.message : String(error));
  }
}

async function runTests(plan: Plan, seed: string | undefined, tally: Tally): Promise<void> {
  await Deno.mkdir(HOME, { recursive: true });
  const report = `${HOME}/tests-${Deno.pid}.xml`;
  const child = new Deno.Command(DENO, {
    args: [
      "test",
      "--quiet",
      "--no-check",
      "--frozen",
      "--allow-all",
      `--junit-path=${report}`,
      ...(plan.filter ? [`--filter=${plan.filter}`] : []),
      ...plan.files,
    ],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1", RK_DENO: DENO, RK_HOME: HOME, ...(seed ? { RK_SEED: seed } : {}) },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const { success } = await child.status;
  const xml = await Deno.readTextFile(report).catch(() => "");
  await Deno.remove(report).catch(() => {});
  const counted = readJunit(xml, plan.filter);
  tally.passed += counted.passed;
  tally.failed += counted.failures.length;
  for (const { name, reason } of counted.failures) {
    tally.failures.push(name);
    tally.reasons.set(name, reason);
  }
  // A file that does not even load has no test case to fail.
  if (!success && counted.failures.length === 0) {
    count(tally, "test run", false, "the runner failed: see above");
  }
  if (counted.passed + counted.failures.length === 0) count(tally, "test run", false, "no test ran");
}

/** A test case that failed. */
export interface FailedCase {
  /** File and name. */
  readonly name: string;
  /** First lines of what it said. */
  readonly reason: string;
}

/**
 * Counts test cases in a JUnit report. A skipped one counts as failed: nothing is skipped here.
 * @param filter part of a name that was asked for: the runner reports every other case as skipped, and it counts for nothing.
 */
export function readJunit(xml: string, filter?: string): { passed: number; failures: FailedCase[] } {
  let passed = 0;
  const failures: FailedCase[] = [];
  for (const suite of xml.split("<testsuite ").slice(1)) {
    const file = /^name="([^"]*)"/.exec(suite)?.[1] ?? "";
    for (const part of suite.split("<testcase ").slice(1)) {
      const name = unescapeXml(/^name="([^"]*)"/.exec(part)?.[1] ?? "");
      const body = part.split("</testcase>")[0]!;
      const failed = /<(failure|error|skipped)\b(?: message="([^"]*)")?/.exec(body);
      if (failed?.[1] === "skipped" && filter !== undefined && !name.includes(filter)) continue;
      if (failed) failures.push({ name: `${file} ${name}`, reason: beginning(unescapeXml(failed[2] ?? "")) });
      else passed++;
    }
  }
  return { passed, failures };
}

function beginning(message: string): string {
  return message.trimEnd().split("\n").slice(0, REASON_LINES).join("\n").slice(0, REASON_CHARACTERS);
}

const XML_ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => XML_ENTITIES[name]!);
}

defineErrors({
  TEST_UNKNOWN: {
    fault: "usage",
    retry: false,
    next: "`rk help test` tells what --only takes.",
  },
});
