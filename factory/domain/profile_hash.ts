/** The hash that binds a batch to its profile: SHA-256 of canonical JSON (RFC 8785). */

import { createHash } from "node:crypto";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import type { Profile } from "./profile.ts";

/** JSON of the kinds that profiles consist of. */
type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * Canonical JSON, RFC 8785: no white space, members sorted by UTF-16 code units. ECMAScript's own rules for strings and
 * numbers are those of the RFC (sections 3.2.2.2 and 3.2.2.3).
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

/** SHA-256 (64 hex digits, upper case) of a profile. Explanations, order and spacing of its file do not matter. */
export function profileHash(profile: Profile): string {
  return toHex(createHash("sha256").update(toUtf8(canonicalJson(profile as unknown as Json))).digest());
}
