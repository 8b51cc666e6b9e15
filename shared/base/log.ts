/**
 * Structured logs: one JSON object a line on standard error. Values that are byte strings or `Secret`
 * never print their content, and field names that usually hold secrets are redacted whatever they hold.
 */

import { Secret } from "./secret.ts";

/** Severity, as in syslog's names. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** Facts of one line. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where lines go; bound fields come with every line. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warning(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds fields to every line. */
  with(fields: LogFields): Logger;
}

const SECRET_FIELD = /(pin|seed|secret|password|passphrase|private|token|mackey|enckey|dek|entropy)$/i;
const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warning: 2, error: 3 };

function printable(key: string, value: unknown): unknown {
  if (SECRET_FIELD.test(key)) return "[redacted]";
  if (value instanceof Secret) return "[redacted]";
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code;
    return { name: value.name, message: value.message, ...(typeof code === "string" ? { code } : {}) };
  }
  if (typeof value === "bigint") return value.toString();
  return value;
}

/** Names of a line's own fields: fields that have them take their place, which the fast way cannot do. */
const OWN_NAMES: ReadonlySet<string> = new Set(["time", "level", "process", "event"]);

/** Whether every value stands for itself, and no name is that of a secret or of the line itself. */
function isPlain(line: LogFields): boolean {
  for (const name in line) {
    const kind = typeof line[name];
    if (kind !== "string" && kind !== "number" && kind !== "boolean" && kind !== "undefined") return false;
    let harmless = harmlessNames.get(name);
    if (harmless === undefined) {
      harmless = !SECRET_FIELD.test(name) && !OWN_NAMES.has(name);
      // Names of fields are few; were they ever not, they are looked at one by one again.
      if (harmlessNames.size < 1_000) harmlessNames.set(name, harmless);
    }
    if (!harmless) return false;
  }
  return true;
}

const harmlessNames = new Map<string, boolean>();
/** Events as JSON: they are words of the program, and few. */
const eventTexts = new Map<string, string>();

function eventText(event: string): string {
  let text = eventTexts.get(event);
  if (text === undefined) {
    text = JSON.stringify(event);
    if (eventTexts.size < 1_000) eventTexts.set(event, text);
  }
  return text;
}

let timeMs = 0;
let time = "";

/** The time of a line, written out once a millisecond. */
function timeNow(): string {
  const now = Date.now();
  if (now !== timeMs) {
    timeMs = now;
    time = new Date(now).toISOString();
  }
  return time;
}

/** Makes a logger of one process. Lines below `level` are dropped. */
export function createLogger(
  process: string,
  options: { level?: LogLevel; write?: (line: string, level: LogLevel) => void; bound?: LogFields } = {},
): Logger {
  const threshold = ORDER[options.level ?? "info"];
  const write = options.write ?? ((line: string) => console.error(line));
  const name = JSON.stringify(process);
  const emit = (level: LogLevel, event: string, fields: LogFields = {}) => {
    if (ORDER[level] < threshold) return;
    // Most lines are plain: looking at them is a third of the cost of a replacer, copying them together another third.
    if (options.bound === undefined && isPlain(fields)) {
      const rest = JSON.stringify(fields);
      const own = `{"time":"${timeNow()}","level":"${level}","process":${name},"event":${eventText(event)}`;
      return write(rest === "{}" ? `${own}}` : `${own},${rest.slice(1)}`, level);
    }
    const line = { time: timeNow(), level, process, event, ...options.bound, ...fields };
    write(JSON.stringify(line, printable), level);
  };
  return {
    debug: (event, fields) => emit("debug", event, fields),
    info: (event, fields) => emit("info", event, fields),
    warning: (event, fields) => emit("warning", event, fields),
    error: (event, fields) => emit("error", event, fields),
    with: (fields) => createLogger(process, { ...options, bound: { ...options.bound, ...fields } }),
  };
}
