/** `rk test --only interrupt`: runs the suite whole and prints its result as the last line. */

import { finish } from "../../faults/suites/finish.ts";
import { suiteSeed } from "../../faults/machinery/seed.ts";
import { runInterrupt } from "./interrupt.ts";

const result = await runInterrupt(suiteSeed(), { tell: console.error });
const cards = result.points * result.kinds;
finish(result, { passed: result.newAfterRetry, failed: cards - result.newAfterRetry });
