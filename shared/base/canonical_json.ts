/** Canonical JSON, RFC 8785: one text for one value, so that it can be hashed and signed. */

/** JSON as a value. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/**
 * No white space, members sorted by UTF-16 code units. ECMAScript's own rules for strings and numbers are those of the
 * RFC (sections 3.2.2.2 and 3.2.2.3).
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = value as { readonly [key: string]: Json };
    return `{${
      Object.keys(members).sort().map((key) => `${JSON.stringify(key)}:${canonicalJson(members[key]!)}`).join(
        ",",
      )
    }}`;
  }
  return JSON.stringify(value);
}
