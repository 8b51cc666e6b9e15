/** `rk test --only crash`: every point. */

import { suiteSeed } from "../machinery/seed.ts";
import { runCrash } from "./crash.ts";
import { finish } from "./finish.ts";

const sample = Deno.env.get("RK_SAMPLE");
const result = await runCrash({
  seed: suiteSeed(),
  tell: console.error,
  ...(sample === undefined ? {} : { sample: Number(sample) }),
});
finish(result, { passed: result.completeAfterRetry, failed: result.points - result.completeAfterRetry });
