/** Numbers of the PC/SC API as pcsc-lite spells them (winscard.h, pcsclite.h of 1.9 and 2.x, 64-bit Linux). */

/** Scope of a context: the whole machine. */
export const SCARD_SCOPE_SYSTEM = 2;
/** Nobody else may use the card. */
export const SCARD_SHARE_EXCLUSIVE = 1;
/** Character protocol. */
export const SCARD_PROTOCOL_T0 = 1;
/** Block protocol. */
export const SCARD_PROTOCOL_T1 = 2;
/** Resets the card: disposition of SCardDisconnect, initialization of SCardReconnect. */
export const SCARD_RESET_CARD = 1;
/** Powers the card down: a cold reset. */
export const SCARD_UNPOWER_CARD = 2;

/** Waits for ever. */
export const INFINITE = 0xffff_ffff;
/** Stands for the list of readers itself in SCardGetStatusChange. */
export const PNP_NOTIFICATION = "\\\\?PnP?\\Notification";
/** Most readers of one pcscd, and most entries of one SCardGetStatusChange. */
export const PCSCLITE_MAX_READERS_CONTEXTS = 16;
/** Longest answer to reset, in bytes. */
export const MAX_ATR_SIZE = 33;

/** The caller knows nothing yet. Bits of dwCurrentState and dwEventState; the upper 16 count insertions and removals. */
export const SCARD_STATE_UNAWARE = 0x0000;
/** Something is different from what the caller knew. */
export const SCARD_STATE_CHANGED = 0x0002;
/** There is no such reader. */
export const SCARD_STATE_UNKNOWN = 0x0004;
/** The reader cannot be asked now. */
export const SCARD_STATE_UNAVAILABLE = 0x0008;
/** A card is there. */
export const SCARD_STATE_PRESENT = 0x0020;
/** A card is there and does not answer. */
export const SCARD_STATE_MUTE = 0x0200;

/** Result codes, as unsigned 32-bit numbers. */
export const RESULT = {
  SCARD_S_SUCCESS: 0x00000000,
  SCARD_E_CANCELLED: 0x80100002,
  SCARD_E_INVALID_HANDLE: 0x80100003,
  SCARD_E_INVALID_PARAMETER: 0x80100004,
  SCARD_E_NO_MEMORY: 0x80100006,
  SCARD_E_INSUFFICIENT_BUFFER: 0x80100008,
  SCARD_E_UNKNOWN_READER: 0x80100009,
  SCARD_E_TIMEOUT: 0x8010000a,
  SCARD_E_SHARING_VIOLATION: 0x8010000b,
  SCARD_E_NO_SMARTCARD: 0x8010000c,
  SCARD_E_PROTO_MISMATCH: 0x8010000f,
  SCARD_E_NOT_READY: 0x80100010,
  SCARD_E_SYSTEM_CANCELLED: 0x80100012,
  SCARD_F_COMM_ERROR: 0x80100013,
  SCARD_E_NOT_TRANSACTED: 0x80100016,
  SCARD_E_READER_UNAVAILABLE: 0x80100017,
  SCARD_E_NO_SERVICE: 0x8010001d,
  SCARD_E_SERVICE_STOPPED: 0x8010001e,
  SCARD_E_NO_READERS_AVAILABLE: 0x8010002e,
  SCARD_W_UNSUPPORTED_CARD: 0x80100065,
  SCARD_W_UNRESPONSIVE_CARD: 0x80100066,
  SCARD_W_UNPOWERED_CARD: 0x80100067,
  SCARD_W_RESET_CARD: 0x80100068,
  SCARD_W_REMOVED_CARD: 0x80100069,
  SCARD_W_SECURITY_VIOLATION: 0x8010006a,
} as const;

/** Name of a result code. */
export type ResultName = keyof typeof RESULT;

const NAMES = new Map<number, ResultName>(
  Object.entries(RESULT).map(([name, code]) => [code, name as ResultName]),
);

/** The name of a result, or undefined when pcsc-lite has one that is not in the table. */
export function resultName(result: number): ResultName | undefined {
  return NAMES.get(result);
}
