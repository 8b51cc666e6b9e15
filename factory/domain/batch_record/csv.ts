/**
 * Card records as a table for spreadsheets: RFC 4180, with a header line. The last column holds the signed record itself, so
 * that a table can be verified cell by cell. No cell can be taken for a formula.
 */

import type { CardRecord } from "./card_record.ts";

/** Columns in their order. */
export const CSV_COLUMNS = [
  "serial",
  "outcome",
  "reason",
  "batch",
  "profile",
  "profileSha256",
  "station",
  "reader",
  "operator",
  "apdus",
  "reservedAt",
  "startedAt",
  "finishedAt",
  "closedAt",
  "certificateSha256",
  "certificateRevoked",
  "supersededCertificates",
  "packageSha256",
  "cplc",
  "keyDiversificationData",
  "record",
] as const;

/** The end of a line; RFC 4180, section 2, rule 1. */
export const CSV_LINE_END = "\r\n";
/** The header line, with its end. */
export const CSV_HEADER: string = CSV_COLUMNS.join(",") + CSV_LINE_END;

/**
 * One cell. A text that a spreadsheet could take for a formula gets an apostrophe before it, which spreadsheets show as text:
 * it begins with `=`, `+`, `-`, `@`, a tab, a carriage return, or one of their full-width forms (OWASP, CSV injection).
 */
export function csvCell(value: string | number | boolean | null): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const guarded = /^\s*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/**
 * The line of a record, with its end. Hex that consists of digits alone, or looks like a number with an exponent, would
 * lose digits in a spreadsheet: byte strings are written with `0x` before them.
 */
export function csvLine(record: CardRecord, jws: string): string {
  const hex = (value: string | null) => value === null ? null : `0x${value}`;
  const cells = [
    hex(record.serial),
    record.outcome,
    record.reason,
    record.batch,
    record.profile.name,
    hex(record.profile.sha256),
    record.station,
    record.reader,
    record.operator,
    record.apdus,
    record.reservedAt,
    record.startedAt,
    record.finishedAt,
    record.closedAt,
    hex(record.certificateSha256),
    record.certificateRevoked,
    record.supersededCertificates.map(hex).join(" "),
    hex(record.packageSha256),
    hex(record.chip.cplc),
    hex(record.chip.keyDiversificationData),
    jws,
  ];
  return cells.map(csvCell).join(",") + CSV_LINE_END;
}

/** The signed record of a line: its last cell, which needs no quotes. */
export function recordOfCsvLine(line: string): string {
  return line.slice(line.lastIndexOf(",") + 1).trimEnd();
}

/** Whether a text ends inside a quoted cell, that is, whether its record goes on in the next line. RFC 4180, 2.6. */
export function isInsideQuotes(text: string): boolean {
  let quotes = 0;
  for (const character of text) if (character === '"') quotes++;
  return quotes % 2 === 1;
}
