/** What can be wrong with an export: one code for each. */

import { defineErrors } from "shared/base/errors.ts";

const WRONG =
  "Take the export anew from the service; if it is wrong again, ask who changed it, and trust neither.";

/** The table. */
export const EXPORT_FINDINGS = defineErrors({
  BATCH_EXPORT_UNREADABLE: {
    fault: "peer",
    retry: false,
    next: "The file is no export, or a line of it is not one: take the export anew.",
  },
  BATCH_EXPORT_TRUNCATED: {
    fault: "peer",
    retry: false,
    next: "The file ends before its manifest: take the export anew, or get the rest.",
  },
  BATCH_KEY_OTHER: {
    fault: "peer",
    retry: false,
    next: "Another key signed this: give that factory's record key (`rk batch key`), or trust nothing in it.",
  },
  BATCH_RECORD_SIGNATURE: { fault: "peer", retry: false, next: WRONG },
  BATCH_RECORD_CONTENT: {
    fault: "peer",
    retry: false,
    next: "The record is signed, but is none that this version knows: use the version that wrote it.",
  },
  BATCH_RECORD_OTHER_BATCH: {
    fault: "peer",
    retry: false,
    next: "The record is genuine and belongs to another batch or profile: it was put here. " + WRONG,
  },
  BATCH_RECORD_RANGE: { fault: "peer", retry: false, next: "The serial is none of this batch. " + WRONG },
  BATCH_RECORD_DOUBLED: { fault: "peer", retry: false, next: "One serial has two records. " + WRONG },
  BATCH_RECORD_ORDER: { fault: "peer", retry: false, next: "Records were moved. " + WRONG },
  BATCH_RECORD_MISSING: { fault: "peer", retry: false, next: "A record was taken out. " + WRONG },
  BATCH_CSV_CELL: {
    fault: "peer",
    retry: false,
    next:
      "The table was changed (a spreadsheet may do so when it saves): the signed record in its last cell holds.",
  },
  BATCH_MANIFEST_SIGNATURE: { fault: "peer", retry: false, next: WRONG },
  BATCH_MANIFEST_CONTENT: {
    fault: "peer",
    retry: false,
    next: "The manifest is signed, but is none that this version knows: use the version that wrote it.",
  },
  BATCH_MANIFEST_BALANCE: {
    fault: "peer",
    retry: false,
    next: "The manifest contradicts itself: the batch does not balance. Ask the factory.",
  },
  BATCH_MANIFEST_COUNTS: {
    fault: "peer",
    retry: false,
    next: "The records do not add up to what the manifest counts. " + WRONG,
  },
  BATCH_MANIFEST_ROOT: {
    fault: "peer",
    retry: false,
    next: "These are not the records that were in the batch when it closed. " + WRONG,
  },
  BATCH_SERIAL_ABSENT: {
    fault: "usage",
    retry: false,
    next: "The export has no record of this serial: check the serial (4 bytes of hex) and the batch.",
  },
  BATCH_PROOF_WRONG: {
    fault: "peer",
    retry: false,
    next: "The proof does not lead from this record to the manifest's root: ask for a new proof.",
  },
});

/** A code of {@link EXPORT_FINDINGS}. */
export type FindingCode = keyof typeof EXPORT_FINDINGS;

/** One thing that is wrong. */
export interface Finding {
  readonly code: FindingCode;
  /** Line of the file, from 1; null when it is not about one line. */
  readonly line: number | null;
  /** 4 bytes of hex, where it is known. */
  readonly serial: string | null;
  /** For people. */
  readonly text: string;
}
