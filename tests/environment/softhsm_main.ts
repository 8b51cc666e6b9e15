/**
 * Makes a token in a folder of its own: `softhsm_main.ts FOLDER LABEL`. A process each, because the library reads where its tokens
 * are once in a process's life. Prints what {@link startSoftHsm} returns, as one JSON line.
 */

import { startSoftHsm } from "./softhsm.ts";

const [directory, tokenLabel] = Deno.args;
console.log(JSON.stringify(await startSoftHsm({ directory: directory!, tokenLabel: tokenLabel! })));
// The library keeps threads that would hold the process open.
Deno.exit(0);
