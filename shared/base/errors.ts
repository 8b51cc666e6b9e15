/**
 * Errors with stable codes. Nobody matches on message text: programs match on `code`, people read the
 * message and the table's `next`. A message says "Cannot <verb> <object>: <state>" and never holds a
 * secret, a token or an expected MAC.
 */

/** Who has to act. */
export type Fault = "usage" | "configuration" | "card" | "peer" | "service" | "installation" | "bug";

/** One row of a package's error table. */
export interface ErrorRow {
  /** Who has to act. */
  readonly fault: Fault;
  /** Whether the same request can succeed later unchanged. */
  readonly retry: boolean;
  /** HTTP status when it reaches an HTTP client. */
  readonly http?: number;
  /** What the reader can do next. */
  readonly next: string;
}

/** Process exit codes, by fault. `rk help exit-codes` prints this table. */
export const EXIT_CODES: Readonly<Record<Fault | "ok", number>> = {
  ok: 0,
  bug: 1,
  usage: 2,
  configuration: 3,
  peer: 4,
  card: 5,
  service: 6,
  installation: 7,
};

const rows = new Map<string, ErrorRow>();

/** Registers a package's table. Codes are unique over the program: a second row with one code is a fault. */
export function defineErrors<const T extends Record<string, ErrorRow>>(table: T): T {
  for (const [code, row] of Object.entries(table)) {
    if (rows.has(code)) throw new Error(`Cannot define error ${code}: it is defined already`);
    rows.set(code, row);
  }
  return table;
}

const UNKNOWN: ErrorRow = {
  fault: "bug",
  retry: false,
  http: 500,
  next: "This is a fault of the program: report it.",
};

/** The row of a code; a code that nobody registered is a fault of ours. */
export function errorRow(code: string): ErrorRow {
  return rows.get(code) ?? UNKNOWN;
}

/** Every registered code, for help and docs. */
export function errorTable(): ReadonlyMap<string, ErrorRow> {
  return rows;
}

/** A failure with a stable code. `details` are for programs and logs: never a secret. */
export class CodedError extends Error {
  /** Stable code, a key of some package's table. */
  readonly code: string;
  /** Facts that a program or a log may use. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CodedError";
    this.code = code;
    this.details = details;
  }

  /** The row of this code. */
  get row(): ErrorRow {
    return errorRow(this.code);
  }
}

/** The code of any thrown value: `INTERNAL` when it is not ours. */
export function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : "INTERNAL";
}

defineErrors({
  INTERNAL: UNKNOWN,
  BYTES_NOT_HEX: { fault: "usage", retry: false, http: 400, next: "Give pairs of hexadecimal digits." },
  BYTES_RANGE: { fault: "bug", retry: false, http: 500, next: "Report it." },
});
