/**
 * The head of an answer (RFC 9112), read in one strict way: what is doubtful about where an answer ends is a fault, because the
 * next answer on the connection would be read from the wrong place.
 */

/** Where the body of an answer ends. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

/** A head. */
export interface AnswerHead {
  readonly kind: "head";
  readonly status: number;
  /** Name, value, name, value; names as sent. */
  readonly rawHeaders: readonly string[];
  readonly framing: Framing;
  /** Whether the connection may carry another request afterwards. */
  readonly keepAlive: boolean;
}

/** Why a head cannot be used; goes to log and metrics as the outcome of the attempt. */
export type HeadFault =
  | "ANSWER_STATUS_LINE"
  | "ANSWER_HEADER"
  | "ANSWER_FRAMING"
  | "ANSWER_HEADERS_MANY";

/** Most header fields of an answer. */
export const MAX_ANSWER_HEADERS = 128;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What stands nowhere in a head: control characters, and line ends in halves. Looked for once in all of it. */
// deno-lint-ignore no-control-regex -- control characters are what is looked for (RFC 9110, 5.5)
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;
/** An option of Connection, of which each stands behind a comma here. */
const CLOSE = /,[\t ]*close[\t ]*(?:,|$)/;
const LENGTH = /^\d{1,15}$/;
/** Lengths of the names that say something of the framing: no other name has to be put in lower case. */
const SAID_BY_LENGTH: Readonly<Record<number, true>> = { 10: true, 14: true, 17: true };

/**
 * Reads a head.
 * @param text Everything before the empty line, in latin1, without the last line end.
 * @param method Of the request: an answer to HEAD has no body.
 */
export function readAnswerHead(text: string, method: string): AnswerHead | HeadFault {
  let lineEnd = endOfLine(text, 0);
  const start = STATUS_LINE.exec(text.slice(0, lineEnd));
  if (start === null) return "ANSWER_STATUS_LINE";
  if (FORBIDDEN.test(text)) return "ANSWER_HEADER";
  const status = Number(start[2]);
  const rawHeaders: string[] = [];
  let length: string | undefined;
  let coding: string | undefined;
  let connection = "";
  while (lineEnd < text.length) {
    const at = lineEnd + 2;
    lineEnd = endOfLine(text, at);
    const colon = text.indexOf(":", at);
    if (colon < 0 || colon > lineEnd) return "ANSWER_HEADER";
    const name = text.slice(at, colon);
    let value = withoutBlanks(text, colon + 1, lineEnd);
    if (!NAME.test(name)) return "ANSWER_HEADER";
    switch (SAID_BY_LENGTH[name.length] && name.toLowerCase()) {
      case "content-length":
        if (!LENGTH.test(value) || (length !== undefined && length !== value)) return "ANSWER_FRAMING";
        // Said once, and as a number is written: the client must not have to think about it (RFC 9110, 8.6; RFC 9112, 6.3).
        if (length !== undefined || status === 204) continue;
        length = value;
        value = String(Number(value));
        break;
      case "transfer-encoding":
        if (coding !== undefined) return "ANSWER_FRAMING";
        coding = value.toLowerCase();
        break;
      case "connection":
        connection += `,${value.toLowerCase()}`;
    }
    if (rawHeaders.push(name, value) > 2 * MAX_ANSWER_HEADERS) return "ANSWER_HEADERS_MANY";
  }
  const old = start[1] === "0";
  const framing = framingOf(status, method, { length, coding, old });
  if (framing === undefined) return "ANSWER_FRAMING";
  const keepAlive = !old && !CLOSE.test(connection) && framing.kind !== "until-close";
  return { kind: "head", status, rawHeaders, framing, keepAlive };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\r\n", from);
  return end < 0 ? text.length : end;
}

function withoutBlanks(text: string, from: number, end: number): string {
  while (from < end && isBlank(text.charCodeAt(from))) from++;
  while (end > from && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(from, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** RFC 9112, 6.3; undefined when it is doubtful. */
function framingOf(
  status: number,
  method: string,
  { length, coding, old }: { length: string | undefined; coding: string | undefined; old: boolean },
): Framing | undefined {
  if (coding !== undefined && (coding !== "chunked" || length !== undefined || old)) return undefined;
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return { kind: "none" };
  if (coding !== undefined) return { kind: "chunked" };
  if (length !== undefined) return { kind: "length", length: Number(length) };
  return { kind: "until-close" };
}
