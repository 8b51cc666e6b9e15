/** May this sender use this endpoint at all? */

import type { SenderRecord, SenderRole } from "../../transport/issuance_store/records.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** Outcome of `maySend`. */
export type SenderDecision = { readonly kind: "accept"; readonly sender: SenderRecord } | Refusal;

/**
 * Decides on a sender whose signature was verified.
 * @param sender As the database knows it; undefined when it does not.
 * @param fresh False when this nonce was spent before.
 */
export function maySend(
  sender: SenderRecord | undefined,
  fresh: boolean,
  roles: readonly SenderRole[],
): SenderDecision {
  if (sender === undefined) return refuse("ATTEST_SENDER_UNKNOWN");
  if (!fresh) return refuse("ATTEST_REPLAY");
  if (sender.disabled) return refuse("ATTEST_SENDER_DISABLED");
  if (!roles.includes(sender.role)) return refuse("ATTEST_ROLE");
  return { kind: "accept", sender };
}
