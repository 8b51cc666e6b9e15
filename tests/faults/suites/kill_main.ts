/** `rk test --only kill`: every point, and pairs of faults by chance. */

import { suiteSeed } from "../machinery/seed.ts";
import { finish } from "./finish.ts";
import { runKill } from "./kill.ts";

/** Cards with two faults. */
const PAIRS = 20;

const result = await runKill({ seed: suiteSeed(), oneOf: 1, pairs: PAIRS, tell: console.error });
finish(result, { passed: result.attested, failed: result.cards - result.attested });
