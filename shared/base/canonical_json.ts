/** Canonical JSON, RFC 8785: one text for one value, so that it can be hashed and signed. */

import { CodedError, defineErrors } from "./errors.ts";

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
 * @throws {CodedError} `CANONICAL_JSON` for what has no canonical text: NaN, infinities, lone surrogates (3.2.2.2, 3.2.2.3).
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = value as { readonly [key: string]: Json };
    return `{${
      Object.keys(members).sort().map((key) => `${canonicalJson(key)}:${canonicalJson(members[key]!)}`).join(
        ",",
      )
    }}`;
  }
  const right = typeof value === "number"
    ? Number.isFinite(value)
    : typeof value === "string"
    ? value.isWellFormed()
    : value === null || typeof value === "boolean";
  // JSON.stringify would write null, an escape or nothing, and two values would have one text.
  if (!right) {
    throw new CodedError("CANONICAL_JSON", `Cannot write canonical JSON: a ${typeof value} that it has not`);
  }
  return JSON.stringify(value);
}

defineErrors({
  CANONICAL_JSON: {
    fault: "bug",
    retry: false,
    next:
      "Only finite numbers, whole Unicode texts, true, false, null, lists and objects have a canonical text.",
  },
});
