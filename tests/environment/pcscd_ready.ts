/**
 * Ends with 0 when the pcscd that PCSCLITE_CSOCK_NAME names lists at least as many readers as the argument
 * says. A program of its own, since libpcsclite takes the socket's name once for a whole process.
 *
 * Permissions: `--allow-ffi` for libpcsclite.so.1.
 */

import { openPcsc } from "shared/transport/pcsc/service.ts";

const wanted = Number(Deno.args[0]);
const service = await openPcsc();
let readers = 0;
for await (const event of service.watch(new AbortController().signal)) {
  if (event.kind === "reader-added") readers++;
  if (event.kind === "reader-removed") readers--;
  if (event.kind === "service-lost") readers = 0;
  if (readers >= wanted) break;
}
await service.close();
