/** One row of the table of events: what events.ts and recover_events.ts are made of. */

/** Who writes entries. */
export type EventWriter =
  | "gateway"
  | "attestation"
  | "update"
  | "station"
  | "provider"
  | "orchestrator"
  | "log"
  | "witness";

/** How much it matters: `info` is the ordinary course, `warning` is worth a look, `alarm` wakes somebody. */
export type EventSeverity = "info" | "warning" | "alarm";

/** What a pseudonym stands for. */
export const PSEUDONYM_KINDS = [
  "process",
  "client",
  "address",
  "gateway",
  "sender",
  "operator",
  "route",
  "instance",
  "batch",
  "card",
  "chip",
  "host",
  "package",
  "session",
  "change",
  "log",
] as const;
/** One of {@link PSEUDONYM_KINDS}. */
export type PseudonymKind = (typeof PSEUDONYM_KINDS)[number];

/** How an act ended. `intended`: written before the effect, which a second entry then reports. */
export const OUTCOMES = ["intended", "done", "refused", "failed"] as const;
/** One of {@link OUTCOMES}. */
export type Outcome = (typeof OUTCOMES)[number];

/** Error codes of the program: upper case words, at most 40 characters. */
export const ERROR_CODE = /^(?=.{3,40}$)[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

/** One row of the table. */
export interface EventRow {
  readonly writer: EventWriter;
  readonly severity: EventSeverity;
  /** Kinds of who did it. */
  readonly actor: readonly PseudonymKind[];
  /** Kinds of what it was done to; an event without kinds has no subject. */
  readonly subject: readonly PseudonymKind[];
  readonly outcomes: readonly Outcome[];
  /** Reason codes; `error-code`: also every error code of the program. Without any, the event has no reason. */
  readonly reasons: readonly string[];
  /** Log lines or screen events that tell of the same. */
  readonly line: readonly string[];
  /** For people. */
  readonly meaning: string;
}

/** What a row may say beside its writer, lines and meaning. */
export type Optional = Partial<Pick<EventRow, "subject" | "reasons" | "severity" | "outcomes" | "actor">>;

/** Makes a row; what is not said is the ordinary course. */
export function row(
  writer: EventWriter,
  line: readonly string[],
  meaning: string,
  more: Optional = {},
): EventRow {
  return {
    writer,
    line,
    meaning,
    severity: "info",
    actor: ["process"],
    subject: [],
    outcomes: ["done"],
    reasons: [],
    ...more,
  };
}
