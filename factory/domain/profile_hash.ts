/** The hash that binds a batch to its profile: SHA-256 of canonical JSON (RFC 8785). */

import { createHash } from "node:crypto";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { canonicalJson, type Json } from "shared/base/canonical_json.ts";
import type { Profile } from "./profile.ts";

/** SHA-256 (64 hex digits, upper case) of a profile. Explanations, order and spacing of its file do not matter. */
export function profileHash(profile: Profile): string {
  return toHex(createHash("sha256").update(toUtf8(canonicalJson(profile as unknown as Json))).digest());
}
