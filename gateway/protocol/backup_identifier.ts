/** Where a Recover request names its backup, and the keyed hash under which its attempts are counted. */

import { createHmac } from "node:crypto";

/** A header field's name in lower case, or a JSON pointer (RFC 6901) into the body. */
export type BackupPlace = { readonly header: string } | { readonly pointer: string };

/** Longest identifier that is counted, characters. */
export const MAX_BACKUP_IDENTIFIER = 512;
/** Deepest pointer. */
const MAX_DEPTH = 16;

/** The identifier; undefined when there is none, more than one, or none that can be one. */
export function backupIdentifier(
  place: BackupPlace,
  headers: readonly (readonly [name: string, value: string])[],
  body: Uint8Array | undefined,
): string | undefined {
  const found = "header" in place ? inHeaders(place.header, headers) : inBody(place.pointer, body);
  return typeof found === "string" && found.length > 0 && found.length <= MAX_BACKUP_IDENTIFIER
    ? found
    : undefined;
}

function inHeaders(field: string, headers: readonly (readonly [string, string])[]): string | undefined {
  const values = headers.filter(([name]) => name === field);
  return values.length === 1 ? values[0]![1] : undefined;
}

function inBody(pointer: string, body: Uint8Array | undefined): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
  for (const token of pointer.slice(1).split("/").slice(0, MAX_DEPTH)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/**
 * The name under which a backup's attempts are counted: HMAC-SHA-256 with a key that only this provider has, so that the store
 * names no backup and the stores of two providers cannot be joined. 32 hexadecimal digits.
 */
export function backupTag(key: Uint8Array, identifier: string): string {
  return createHmac("sha256", key).update("recovery-key gateway backup\0").update(identifier).digest("hex")
    .slice(0, 32);
}
