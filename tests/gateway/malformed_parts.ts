/** What the tables of malformed requests are made of. */

/** An honest Host. */
export const HOST = "Host: gateway.example\r\n";
/** An honest Content-Type. */
export const JSON_TYPE = "Content-Type: application/json\r\n";
/** Head of an honest POST, without its end. */
export const POST = `POST /things/1 HTTP/1.1\r\n${HOST}${JSON_TYPE}`;
/** Head of an honest GET, without its end. */
export const GET = `GET /things/1 HTTP/1.1\r\n${HOST}`;
/** Whole head of an honest POST whose body comes in chunks. */
export const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
/** A body of no chunk. */
export const EMPTY_CHUNKS = "0\r\n\r\n";

/** One message that has to be refused: bytes as latin1 text, and the reasons that are right. */
export type Row = readonly [name: string, bytes: string, ...reasons: string[]];

/** Rows that differ in one value, which names them. */
export const rows = (
  values: readonly string[],
  build: (value: string) => string,
  ...reasons: string[]
): Row[] => values.map((value) => [JSON.stringify(value), build(value), ...reasons]);

/** Control characters, apart from those that end lines. */
export const WITHOUT_LINE_ENDS = [...Array(32).keys(), 0x7f].map((code) => String.fromCharCode(code))
  .filter((character) => character !== "\r" && character !== "\n");
/** Bytes outside of ASCII, alone and as UTF-8. */
export const HIGH = ["\x80", "\x85", "\xa0", "\xc3\xa9", "\xe2\x80\xa8", "\xff"];
/** What every wrong end of a line is refused for. */
export const LF_REASONS = ["line-ending"];
