/** One command and its whole answer: 61xx and 6Cxx of ISO/IEC 7816-3, 12.2 are handled here, within bounds. */

import { concat } from "../../base/bytes.ts";
import { CodedError, defineErrors } from "../../base/errors.ts";
import { command, type CommandApdu, encodeCommand } from "./command.ts";
import { decodeResponse, type ResponseApdu } from "./response.ts";

/** Most GET RESPONSE commands for one answer. */
export const GET_RESPONSE_MAX = 64;
/** Most repetitions with the Le that a 6Cxx names, in one exchange. */
export const WRONG_LE_RETRIES = 1;
/** GET RESPONSE, ISO/IEC 7816-4, 7.6.1. */
export const INS_GET_RESPONSE = 0xc0;

/** Sends raw bytes and gives the raw answer. */
export type RawTransmit = (bytes: Uint8Array) => Promise<Uint8Array>;

/**
 * Class byte of the GET RESPONSE that follows a command: interindustry, same logical channel.
 * Basic channels are in bits 1-2; CLA with bit 7 (40, C0) carries channels 4 to 19 in its low nibble. GPC 2.3.1, 11.1.4.
 */
function getResponseCla(cla: number): number {
  return (cla & 0x40) !== 0 ? 0x40 | (cla & 0x0f) : cla & 0x03;
}

/**
 * Sends a command and collects its answer. A 6Cxx beyond the first is returned as the answer.
 * @throws {CodedError} `APDU_UNBOUNDED` after 64 GET RESPONSE; `APDU_NO_STATUS`, `APDU_RANGE`, and what `raw` throws.
 */
export async function transceive(raw: RawTransmit, apdu: CommandApdu): Promise<ResponseApdu> {
  let retries = 0;
  const send = async (one: CommandApdu): Promise<ResponseApdu> => {
    const answer = decodeResponse(await raw(encodeCommand(one)));
    if (answer.sw >> 8 !== 0x6c || retries === WRONG_LE_RETRIES) return answer;
    retries++;
    return send({ ...one, le: (answer.sw & 0xff) || 256 });
  };

  let answer = await send(apdu);
  if (answer.sw >> 8 !== 0x61) return answer;
  const cla = getResponseCla(apdu.cla);
  const parts = [answer.data];
  for (let part = 0; part < GET_RESPONSE_MAX; part++) {
    answer = await send(command(cla, INS_GET_RESPONSE, 0, 0, undefined, (answer.sw & 0xff) || 256));
    parts.push(answer.data);
    if (answer.sw >> 8 !== 0x61) return { data: concat(...parts), sw: answer.sw };
  }
  throw new CodedError(
    "APDU_UNBOUNDED",
    `Cannot read answer: still unfinished after ${GET_RESPONSE_MAX} parts`,
  );
}

defineErrors({
  APDU_UNBOUNDED: {
    fault: "card",
    retry: false,
    next: "The card never ends its answer: it is not the card that the profile describes. Take it off.",
  },
});
