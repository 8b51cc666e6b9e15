/**
 * One exchange with the card in the reader that the argument names, in a process that may load libpcsclite and
 * nothing else. Prints one JSON object: the answer, or the code of the error. Run by pcsc_test.ts.
 */

import { toHex } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import { openPcsc } from "shared/transport/pcsc/service.ts";

const reader = Deno.args[0]!;
try {
  const service = await openPcsc();
  for await (const event of service.watch(new AbortController().signal)) {
    if (event.kind === "card-inserted" && event.reader === reader) break;
  }
  const channel = await service.connect(reader);
  const answer = await channel.transmit(Uint8Array.of(0x00, 0xa4, 0x04, 0x00, 0x00));
  await channel.close();
  await service.close();
  console.log(JSON.stringify({ answer: toHex(answer) }));
} catch (error) {
  console.log(JSON.stringify({ code: codeOf(error) }));
}
