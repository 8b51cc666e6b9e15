/** What a PC/SC result means, by what was asked: tables, so that each row can be read and tested. */

import { CodedError, defineErrors } from "../../base/errors.ts";
// For its error table: a type import alone would leave the codes of the port unknown.
import "../card_channel.ts";
import { RESULT, type ResultName, resultName } from "./constants.ts";

/** Results after which the context is dead and the service has to be looked for again. */
const SERVICE_GONE: readonly ResultName[] = [
  "SCARD_E_NO_SERVICE",
  "SCARD_E_SERVICE_STOPPED",
  "SCARD_E_SYSTEM_CANCELLED",
  "SCARD_E_INVALID_HANDLE",
  // What libpcsclite answers when the socket to pcscd breaks: while it sends, and while it waits for an answer.
  "SCARD_F_COMM_ERROR",
  "SCARD_W_SECURITY_VIOLATION",
];

const ANY: Partial<Record<ResultName, string>> = {
  ...Object.fromEntries(SERVICE_GONE.map((name) => [name, "PCSC_UNAVAILABLE"])),
  SCARD_E_UNKNOWN_READER: "READER_UNKNOWN",
  SCARD_E_READER_UNAVAILABLE: "READER_UNKNOWN",
};

/** SCardEstablishContext: polkit's refusal closes the socket, and its result is the same as a broken one's. */
const ESTABLISHING: Partial<Record<ResultName, string>> = {
  ...ANY,
  SCARD_W_SECURITY_VIOLATION: "PCSC_REFUSED",
};

/** SCardConnect: no card was ours yet, so one that is not there is absent. */
const CONNECTING: Partial<Record<ResultName, string>> = {
  ...ESTABLISHING,
  SCARD_E_SHARING_VIOLATION: "CARD_BUSY",
  SCARD_E_NO_SMARTCARD: "CARD_ABSENT",
  SCARD_W_REMOVED_CARD: "CARD_ABSENT",
  SCARD_W_UNRESPONSIVE_CARD: "CARD_NO_ANSWER",
  SCARD_W_UNPOWERED_CARD: "CARD_NO_ANSWER",
  SCARD_W_UNSUPPORTED_CARD: "CARD_NO_ANSWER",
  SCARD_E_PROTO_MISMATCH: "CARD_NO_ANSWER",
  SCARD_E_NOT_READY: "CARD_NO_ANSWER",
  SCARD_E_NOT_TRANSACTED: "CARD_NO_ANSWER",
};

/** SCardTransmit and SCardReconnect: the card was ours, so one that is not there was removed. */
const CONNECTED: Partial<Record<ResultName, string>> = {
  ...CONNECTING,
  SCARD_W_SECURITY_VIOLATION: "PCSC_UNAVAILABLE",
  SCARD_E_NO_SMARTCARD: "CARD_REMOVED",
  SCARD_W_REMOVED_CARD: "CARD_REMOVED",
  SCARD_E_UNKNOWN_READER: "CARD_REMOVED",
  SCARD_E_READER_UNAVAILABLE: "CARD_REMOVED",
  SCARD_W_RESET_CARD: "CARD_NO_ANSWER",
};

const TABLES = { any: ANY, establishing: ESTABLISHING, connecting: CONNECTING, connected: CONNECTED };

/** The error for a result. The message names the call and the result, never data. */
export function resultError(phase: keyof typeof TABLES, doing: string, result: number): CodedError {
  const name = resultName(result);
  const code = (name && TABLES[phase][name]) ?? "PCSC_FAILED";
  const shown = name ?? `0x${result.toString(16)}`;
  return new CodedError(code, `Cannot ${doing}: ${shown}`, { pcsc: shown });
}

/** Whether the service is gone, so that waiting for it helps. */
export function isServiceGone(result: number): boolean {
  return SERVICE_GONE.some((name) => RESULT[name] === result);
}

defineErrors({
  PCSC_LIBRARY: {
    fault: "installation",
    retry: false,
    next: "Install the PC/SC library (Debian: apt-get install libpcsclite1), and allow it: " +
      "deno run --allow-ffi=/usr/lib/x86_64-linux-gnu/libpcsclite.so.1 (aarch64-linux-gnu on ARM).",
  },
  PCSC_REFUSED: {
    fault: "installation",
    retry: false,
    next:
      "The PC/SC service refuses this user: allow org.debian.pcsc-lite.access_pcsc and access_card in polkit.",
  },
  PCSC_FAILED: {
    fault: "service",
    retry: true,
    next: "Take the card off and present it again; then restart the PC/SC service (systemctl restart pcscd).",
  },
});
