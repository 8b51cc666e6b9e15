/** The decision whether a share is released: one pure function over facts, with its reasons. */

import type { ProviderReason } from "shared/log/reasons.ts";
import type { VerificationFault } from "./identity_verification.ts";

/** What the decision is made of. */
export interface ReleaseFacts {
  /** Whether a backup is in force under this identifier. */
  readonly backup: "stored" | "pending" | "absent";
  /** Whether this very request was counted, sealed and committed before it is judged. */
  readonly counted: boolean;
  /** Attempts since the last success, this one with them. */
  readonly attempts: number;
  /** Releases so far. */
  readonly releases: number;
  /** The device that asks, against the one that confirmed the restore. */
  readonly lock: "same-device" | "another-device" | "expired" | "none";
  /** Undefined when the identity verification holds, else why it does not. */
  readonly verification: VerificationFault | undefined;
  /** Whether the share is still what was stored. */
  readonly consistent: boolean;
  readonly limits: ReleaseLimits;
}

/** How often a provider lets a backup be asked for. */
export interface ReleaseLimits {
  /** Attempts without a success. */
  readonly attempts: number;
  /** Releases of one backup in its life; an exceptional release by a quorum is another thing. */
  readonly releases: number;
}

/** The decision. */
export type ReleaseDecision = { readonly kind: "release" } | {
  readonly kind: "refuse";
  /** Every reason, for the log. */
  readonly reasons: readonly ProviderReason[];
};

/** Decides. All reasons are found, so that the time and the order of the checks tell nothing. */
export function decideRelease(facts: ReleaseFacts): ReleaseDecision {
  const found: readonly (ProviderReason | undefined)[] = [
    facts.backup === "stored" ? undefined : `backup-${facts.backup}`,
    facts.counted ? undefined : "not-counted",
    facts.attempts <= facts.limits.attempts ? undefined : "attempts",
    facts.releases < facts.limits.releases ? undefined : "releases",
    facts.lock === "same-device" ? undefined : `lock-${facts.lock}`,
    facts.verification === undefined ? undefined : `verification-${facts.verification}`,
    facts.consistent ? undefined : "share-inconsistent",
  ];
  const reasons = found.filter((reason) => reason !== undefined);
  return reasons.length === 0 ? { kind: "release" } : { kind: "refuse", reasons };
}
