/** Recordings that can be shown and replayed: our own traces, and recordings laid out like tests/vectors/data/card. */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";

/** Longest recording, in bytes. */
export const RECORDING_BYTES_MAX = 16 * 1024 * 1024;

/** One exchange of a recording. */
export interface RecordedRow {
  readonly step: string;
  readonly note: string;
  /** Wire command, hex, or with a hidden part; empty: an event. */
  readonly sent: string;
  /** Wire answer, hex; empty when none was recorded. */
  readonly received: string;
  /** Before the secure channel; absent when there was none. */
  readonly plain?: string;
  /** Answer data after the secure channel. */
  readonly plainReceived?: string;
  /** The command is sealed for the session it was recorded in. */
  readonly sealed: boolean;
}

/** A recording. */
export interface Recording {
  readonly name: string;
  readonly format: "trace" | "vectors";
  readonly rows: readonly RecordedRow[];
}

const SHOWN = z.string().regex(/^([0-9A-Fa-f]{2})*(\[[^\]]{1,80}\]([0-9A-Fa-f]{2})*)?$/);
const HEX = z.string().regex(/^([0-9A-Fa-f]{2})*$/);

const HEAD = z.object({
  kind: z.literal("trace"),
  format: z.literal(1),
  time: z.string(),
  command: z.string(),
  reader: z.string(),
  atr: HEX,
});
const EXCHANGE = z.object({
  kind: z.literal("exchange"),
  step: z.string(),
  sent: SHOWN,
  received: SHOWN.optional(),
  plain: SHOWN.optional(),
  plainReceived: SHOWN.optional(),
  milliseconds: z.number().optional(),
});

const VECTORS = z.object({
  name: z.string(),
  exchanges: z.array(z.object({
    step: z.string(),
    note: z.string().default(""),
    plain_command: HEX.default(""),
    sent: HEX,
    received: HEX,
    plain_response: HEX.nullable().default(null),
    capsule_session: z.unknown().optional(),
    scp03_session: z.unknown().optional(),
  })),
});

function fault(what: string): CodedError {
  return new CodedError("CARDTOOL_TRACE", `Cannot read recording: ${what}`);
}

function parseVectors(value: unknown): Recording {
  const parsed = VECTORS.safeParse(value);
  if (!parsed.success) {
    throw fault(`${parsed.error.issues[0]?.path.join(".") || "it"} is not as in a recording`);
  }
  const { name, exchanges } = parsed.data;
  return {
    name,
    format: "vectors",
    rows: exchanges.map((row) => ({
      step: row.step,
      note: row.note,
      sent: row.sent,
      received: row.received,
      ...(row.plain_command === "" || row.plain_command === row.sent ? {} : {
        plain: row.plain_command,
        ...(row.plain_response === null ? {} : { plainReceived: row.plain_response }),
      }),
      sealed: row.capsule_session !== undefined && row.capsule_session !== null,
    })),
  };
}

function parseTrace(lines: readonly string[]): Recording {
  let name = "trace";
  const rows: RecordedRow[] = [];
  lines.forEach((line, i) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw fault(`line ${i + 1} is not JSON`);
    }
    const head = HEAD.safeParse(value);
    if (head.success) {
      name = head.data.command;
      // Each run of the tool begins with a fresh card; so does its replay.
      if (i > 0) rows.push({ step: "RESET", note: "another run", sent: "", received: "", sealed: false });
      return;
    }
    const exchange = EXCHANGE.safeParse(value);
    if (!exchange.success) throw fault(`line ${i + 1} is no line of a trace`);
    const { step, sent, received, plain, plainReceived } = exchange.data;
    rows.push({
      step,
      note: "",
      sent,
      received: received ?? "",
      ...(plain === undefined ? {} : { plain }),
      ...(plainReceived === undefined ? {} : { plainReceived }),
      sealed: false,
    });
  });
  return { name, format: "trace", rows };
}

/** Reads a recording of either kind. @throws {CodedError} `CARDTOOL_TRACE`. */
export function parseRecording(text: string): Recording {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw fault("it is empty");
  try {
    const value = JSON.parse(text) as { exchanges?: unknown };
    if (typeof value === "object" && value !== null && "exchanges" in value) return parseVectors(value);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    // Several lines of JSON are no JSON: a trace.
  }
  return parseTrace(lines);
}
