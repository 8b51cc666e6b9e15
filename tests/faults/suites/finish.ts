/** How a suite that is a program of its own ends: what is wrong on standard error, its result as the last line. */

/** What a suite found. */
export interface SuiteResult {
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[];
}

/** Cases, counted as `rk test` counts. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** Prints the result with its counts and ends the process: 0 only when nothing is wrong. */
export function finish(result: SuiteResult, { passed, failed }: Counts): never {
  for (const fault of result.faults) console.error(`FAILED ${fault}`);
  console.log(JSON.stringify({ ...result, passed, failed: Math.max(failed, result.faults.length) }));
  // Native libraries keep threads that would hold the process open.
  Deno.exit(result.faults.length === 0 && failed === 0 ? 0 : 1);
}
