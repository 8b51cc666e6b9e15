/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): the key as it is sent, and what "the same request"
 * means. The key is a structured-field string, "..."; the bare form that clients commonly send is taken too.
 */

import { createHash } from "node:crypto";
import { toHex, toUtf8 } from "shared/base/bytes.ts";

/** Name of the header. */
export const IDEMPOTENCY_KEY_HEADER = "idempotency-key";
/** How long an answer is kept for a repetition, in seconds: a day, longer than any outage that a station waits out. */
export const ANSWER_KEPT_SECONDS = 24 * 3600;

const KEY = /^(?:"([A-Za-z0-9._:-]{8,64})"|([A-Za-z0-9._:-]{8,64}))$/;

/** The key of a header; undefined without one, null when it is malformed: 8 to 64 letters, digits, `. _ : -`. */
export function idempotencyKeyOf(header: string | undefined): string | undefined | null {
  if (header === undefined) return undefined;
  const match = KEY.exec(header);
  return match === null ? null : match[1] ?? match[2]!;
}

/** SHA-256 (hex) of what makes two requests the same: method, path and body. */
export function requestDigest(method: string, path: string, body: Uint8Array): string {
  return toHex(createHash("sha256").update(toUtf8(`${method} ${path}\n`)).update(body).digest());
}
