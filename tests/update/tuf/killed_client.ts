/**
 * A client that dies by SIGKILL at a step of a write of trusted metadata.
 *
 *     killed_client.ts METADATA_DIR METADATA_URL STEP
 *
 * STEP counts all steps of all writes from 0; a step that is never reached ends well, and prints how many there were.
 */

import { openTufClient } from "device/update/tuf/client.ts";
import { httpSource } from "device/update/tuf/http_source.ts";

const [metadataDir, metadataBaseUrl, step] = Deno.args as [string, string, string];
let steps = 0;
using client = openTufClient({
  metadataDir,
  metadataBaseUrl,
  source: httpSource(),
  onStage: () => {
    if (steps++ === Number(step)) Deno.kill(Deno.pid, "SIGKILL");
  },
});
await client.refresh();
console.log(steps);
