/** What the card processes print: one JSON object a line on standard output. Never key bytes, never APDUs. */

import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import "../card/errors.ts";

const ENCODER = new TextEncoder();

/** Prints one event, whole. */
export function printEvent(event: Readonly<Record<string, unknown>>): void {
  const line = ENCODER.encode(JSON.stringify(event) + "\n");
  for (let written = 0; written < line.length;) written += Deno.stdout.writeSync(line.subarray(written));
}

/** An error as an event, with the exit code that fits it. */
export function printError(error: unknown, fields: Readonly<Record<string, unknown>> = {}): number {
  if (error instanceof CodedError) {
    printEvent({ event: "error", ...fields, code: error.code, message: error.message, next: error.row.next });
    return EXIT_CODES[error.row.fault];
  }
  printEvent({
    event: "error",
    ...fields,
    code: "INTERNAL",
    message: error instanceof Error ? error.message : "unknown",
  });
  return EXIT_CODES.bug;
}

/** Reads `HOST:PORT`. @throws {CodedError} `CARD_APP_USAGE`. */
export function parseAddress(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || host === "" || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new CodedError("CARD_APP_USAGE", `Cannot read address "${text}": it is not HOST:PORT`);
  }
  return { host, port };
}

/** Reads a whole number of milliseconds, 0 to 60000. @throws {CodedError} `CARD_APP_USAGE`. */
export function parseDelay(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 60_000) {
    throw new CodedError("CARD_APP_USAGE", `Cannot read delay "${text}": it is not 0 to 60000 milliseconds`);
  }
  return Number(text);
}
