/**
 * Log lines to standard error, several in one write: under load a write for each would cost a tenth of the time. A line waits at
 * most 25 ms; warnings, errors and the end of the process do not wait, and take what is before them along.
 */

import type { LogLevel } from "shared/base/log.ts";

const WAIT_MS = 25;
/** Written at once when this much has gathered; characters. */
const MAX_GATHERED = 65_536;

/** Makes the `write` of a logger. `sink` gets whole lines. */
export function gatheredLines(
  sink: (text: string) => void = writeAll,
): { readonly write: (line: string, level: LogLevel) => void; readonly flush: () => void } {
  let gathered = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (gathered === "") return;
    const text = gathered;
    gathered = "";
    sink(text);
  };
  const write = (line: string, level: LogLevel) => {
    gathered += `${line}\n`;
    // Only ordinary lines may be lost when the process is killed.
    const isUrgent = level === "warning" || level === "error";
    if (isUrgent || gathered.length > MAX_GATHERED) return flush();
    if (timer !== undefined) return;
    timer = setTimeout(flush, WAIT_MS);
    Deno.unrefTimer(Number(timer));
  };
  globalThis.addEventListener("unload", flush);
  return { write, flush };
}

function writeAll(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}
