/** `rk test --only tear`: runs the suite and prints its result as the last line. */

import { suiteSeed } from "../machinery/seed.ts";
import { finish } from "./finish.ts";
import { runTear } from "./tear.ts";

const result = await runTear(suiteSeed(), console.error);
const accounted = result.attested + result.scrapped;
finish(result, { passed: accounted, failed: result.points * result.kinds - accounted });
