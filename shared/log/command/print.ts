/** Entries and findings as lines for people. */

import type { Leaf } from "../leaf.ts";
import type { LogFinding, LogVerification } from "../verify.ts";

/** One entry as one line. */
export function entryLine(index: number, leaf: Leaf): string {
  const { time, event, outcome, reason, actor, subject, ticket, count, attachment } = leaf;
  return [
    String(index).padStart(7),
    time,
    event.padEnd(32),
    (reason === undefined ? outcome : `${outcome} (${reason})`).padEnd(10),
    `by ${actor}`,
    ...(subject === undefined ? [] : [`on ${subject}`]),
    ...(ticket === undefined ? [] : [`ticket ${ticket}`]),
    ...(count === undefined ? [] : [`${count} times`]),
    ...(attachment === undefined ? [] : ["with attachment"]),
  ].join("  ").trimEnd();
}

/** What stands in the log and is no entry of ours, as one line: its code alone. */
export function faultLine(index: number, code: string): string {
  return `${String(index).padStart(7)}  not an entry of ours: ${code}`;
}

/** One finding as one line. */
export function findingLine({ code, severity, message, file, entry }: LogFinding): string {
  const place = entry !== undefined ? ` [entry ${entry}]` : file !== undefined ? ` [${file}]` : "";
  return `  ${severity === "fault" ? "FAULT " : "notice"} ${code}${place}: ${message}`;
}

/** Seconds since 1970 as a time; a witness may write more seconds than there are dates. */
export function timeOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} seconds after 1970` : date.toISOString();
}

/** A verification as lines. */
export function verificationLines(found: LogVerification): string[] {
  const { origin, size, root, cosignatures, files, entries, firstTime, lastTime, findings } = found;
  return [
    ...(origin === undefined ? [] : [
      `log       ${origin}`,
      `entries   ${size}, root ${root!.toHex()}`,
      `witnesses ${
        cosignatures.map(({ name, timestamp }) => `${name} at ${timeOf(timestamp)}`)
          .join(", ") || "none asked for or known"
      }`,
      `read      ${files} tiles and bundles, ${entries} entries${
        firstTime === undefined ? "" : ` from ${firstTime} to ${lastTime}`
      }`,
    ]),
    ...findings.map(findingLine),
    ...(found.complete ? [] : ["  not everything was looked at"]),
    ...(found.findingsNotKept > 0 ? [`  and ${found.findingsNotKept} more`] : []),
    found.ok
      ? "verified: signatures, every tile, the root, every entry"
      : "NOT VERIFIED: keep the files as they are, and ask whoever runs the log",
  ];
}
