/**
 * How long the chip takes: a table of milliseconds by instruction, and so much for each byte that goes in or out. A
 * setting of the presentation, not of the card: the same card lies on a slow reader and on a fast one.
 */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";

const MS_MAX = 60_000;
const ms = z.number().min(0).max(MS_MAX);

/** The setting as JSON. */
export const ChipTimingSchema = z.strictObject({
  /** For an instruction that the table does not have. Default 0. */
  defaultMs: ms.default(0),
  /** By INS, two hex digits: `{"E8": 25, "40": 180}`. */
  byInsMs: z.record(z.string().regex(/^[0-9A-F]{2}$/, "an INS is two hex digits, upper case"), ms).default(
    {},
  ),
  /** For each byte of command and answer. Default 0. */
  perByteMs: z.number().min(0).max(1000).default(0),
});

/** How long the chip takes. */
export type ChipTiming = z.output<typeof ChipTimingSchema>;

/**
 * Round figures in the order of magnitude of a P71 over contacts. Nobody measured them on a genuine chip: they show where
 * a flow waits for the card, not how long a genuine one will wait.
 */
export const P71_TIMING: ChipTiming = {
  defaultMs: 6,
  byInsMs: {
    "A4": 8,
    "50": 25,
    "82": 20,
    "D8": 40,
    "E2": 15,
    "E4": 60,
    "E6": 45,
    "E8": 25,
    "EA": 150,
    "F0": 12,
    "40": 120,
    "41": 70,
    "51": 95,
    "52": 85,
    "E0": 35,
    "2A": 110,
  },
  perByteMs: 0.09,
};

/** Time of one exchange in milliseconds. */
export function chipTimeMs(timing: ChipTiming, command: Uint8Array, answer: Uint8Array): number {
  const ins = (command[1] ?? 0).toString(16).padStart(2, "0").toUpperCase();
  return (timing.byInsMs[ins] ?? timing.defaultMs) + timing.perByteMs * (command.length + answer.length);
}

/** Reads a setting: `p71`, or JSON. @throws {CodedError} `VCARD_TIMING`. */
export function parseTiming(value: unknown): ChipTiming {
  if (value === "p71") return P71_TIMING;
  const parsed = ChipTimingSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".") || "timing"}: ${issue.message}`);
  throw new CodedError("VCARD_TIMING", `Cannot set timing: ${faults.join("; ")}`);
}
