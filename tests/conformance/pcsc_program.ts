/**
 * The conformance tests over pcscd. Run by pcsc_test.ts with `deno test` in a process whose PCSCLITE_CSOCK_NAME is
 * `$RK_TEST_DIRECTORY/ipc/pcscd.comm`: libpcsclite takes the name once for a process, so all tests share the path,
 * and each has its own pcscd behind it.
 */

import { openPcsc } from "shared/transport/pcsc/service.ts";
import { startPcscd } from "tests/environment/pcscd.ts";
import { type OutageEnvironment, testOutage, testReaderService } from "./reader_service.ts";

async function open(): Promise<OutageEnvironment> {
  const pcscd = await startPcscd({ directory: Deno.env.get("RK_TEST_DIRECTORY")!, readers: 2 });
  const service = await openPcsc();
  return {
    service,
    readers: [pcscd.readers[0]!, pcscd.readers[1]!],
    outage: pcscd,
    async [Symbol.asyncDispose]() {
      await service.close();
      await pcscd.stop();
    },
  };
}

testReaderService("pcscd", open);
testOutage("pcscd", open);
