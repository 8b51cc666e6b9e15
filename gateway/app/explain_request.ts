/** Where the request comes from that is explained: raw HTTP, or a description in JSON. */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import type { StrictRequest } from "../domain/request_rules.ts";
import "../transport/errors.ts";

const Description = z.strictObject({
  method: z.string().default("GET"),
  /** With its query. */
  path: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
  /** A text is sent as it stands; anything else as JSON. */
  body: z.unknown().optional(),
});

/**
 * The bytes of a request. A text that begins with `{` is a description `{ method, path, headers, body }`; Host,
 * Content-Length and, for a body that is no text, Content-Type are added when they are missing.
 * @param unixLines the head of a raw request was written in an editor, with LF at the ends of lines.
 * @throws {CodedError} `GATEWAY_USAGE` when a description has another form.
 */
export function requestBytes(input: Uint8Array, unixLines: boolean): Uint8Array {
  const text = new TextDecoder("latin1").decode(input);
  if (/^\s*\{/.test(text)) return fromDescription(new TextDecoder().decode(input));
  if (!unixLines) return input;
  const end = /\n\n/.exec(text)?.index ?? text.length;
  const head = text.slice(0, end + 2).replaceAll("\n", "\r\n");
  const body = input.subarray(end + 2);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set([...head].map((character) => character.charCodeAt(0)));
  bytes.set(body, head.length);
  return bytes;
}

function fromDescription(text: string): Uint8Array {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("GATEWAY_USAGE", "Cannot read the request: it begins with { but is not JSON");
  }
  const read = Description.safeParse(value);
  if (!read.success) {
    throw new CodedError(
      "GATEWAY_USAGE",
      `Cannot read the request: expected { method, path, headers, body }: ${read.error.issues[0]!.message}`,
    );
  }
  const { method, path, headers, body } = read.data;
  const content = body === undefined
    ? undefined
    : new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const lines = [`${method} ${path} HTTP/1.1`];
  if (!names.has("host")) lines.push("Host: gateway.example");
  for (const [name, values] of Object.entries(headers)) {
    for (const each of [values].flat()) lines.push(`${name}: ${each}`);
  }
  if (content !== undefined) {
    if (typeof body !== "string" && !names.has("content-type")) lines.push("Content-Type: application/json");
    if (!names.has("content-length") && !names.has("transfer-encoding")) {
      lines.push(`Content-Length: ${content.length}`);
    }
  }
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  const bytes = new Uint8Array(head.length + (content?.length ?? 0));
  bytes.set(head);
  if (content !== undefined) bytes.set(content, head.length);
  return bytes;
}

/** The body of a request that was read without a fault, without its chunks; undefined when it has none. */
export function bodyOf(bytes: Uint8Array, request: StrictRequest): Uint8Array | undefined {
  if (!request.hasBody) return undefined;
  const text = new TextDecoder("latin1").decode(bytes);
  let at = text.indexOf("\r\n\r\n") + 4;
  if (request.declaredLength !== undefined) return bytes.subarray(at, at + request.declaredLength);
  const parts: number[] = [];
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const size = end < 0 ? 0 : parseInt(text.slice(at, end), 16);
    if (size === 0) return new Uint8Array(parts);
    for (const byte of bytes.subarray(end + 2, end + 2 + size)) parts.push(byte);
    at = end + 2 + size + 2;
  }
}
