/** SCARD_READERSTATE arrays. pcsclite.h: 80 bytes an entry on 64-bit Linux, little-endian. */

import { MAX_ATR_SIZE, SCARD_STATE_CHANGED } from "./constants.ts";

/** Length of an entry, in bytes. */
export const READERSTATE_LENGTH = 80;
// const char *szReader; void *pvUserData; DWORD dwCurrentState, dwEventState, cbAtr; BYTE rgbAtr[33]; 7 bytes of padding
const OFFSET = { name: 0, currentState: 16, eventState: 24, atrLength: 32, atr: 40 } as const;

/** What is asked of one reader. */
export interface StateQuery {
  /** Address of the reader's name, terminated by zero. */
  readonly nameAddress: bigint;
  /** The state that is known: the call returns when it is another. */
  readonly currentState: number;
}

/** What the service says of one reader. */
export interface StateAnswer {
  /** SCARD_STATE_* bits without CHANGED; the upper 16 bits count insertions and removals. */
  readonly eventState: number;
  readonly changed: boolean;
  /** 0 to 33 bytes. */
  readonly atr: Uint8Array;
}

/** Lays out the array that SCardGetStatusChange reads and writes. */
export function encodeReaderStates(queries: readonly StateQuery[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(READERSTATE_LENGTH * queries.length);
  const view = new DataView(bytes.buffer);
  queries.forEach(({ nameAddress, currentState }, index) => {
    const entry = READERSTATE_LENGTH * index;
    view.setBigUint64(entry + OFFSET.name, nameAddress, true);
    view.setBigUint64(entry + OFFSET.currentState, BigInt(currentState), true);
  });
  return bytes;
}

/** Reads the array after the call. */
export function decodeReaderStates(bytes: Uint8Array): StateAnswer[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const answers: StateAnswer[] = [];
  for (let entry = 0; entry + READERSTATE_LENGTH <= bytes.length; entry += READERSTATE_LENGTH) {
    const state = Number(BigInt.asUintN(32, view.getBigUint64(entry + OFFSET.eventState, true)));
    const length = Math.min(Number(view.getBigUint64(entry + OFFSET.atrLength, true)), MAX_ATR_SIZE);
    answers.push({
      eventState: (state & ~SCARD_STATE_CHANGED) >>> 0,
      changed: (state & SCARD_STATE_CHANGED) !== 0,
      atr: bytes.slice(entry + OFFSET.atr, entry + OFFSET.atr + length),
    });
  }
  return answers;
}
