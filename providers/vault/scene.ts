/** What the decisions of a vault are made of, and what they give: pure functions of (request, records) in steps.ts. */

import type { JWK } from "jose";
import type { ProviderReason } from "shared/log/reasons.ts";
import type { RecoverChannel } from "shared/protocol/recover/channel.ts";
import type { ReleaseLimits } from "../domain/release.ts";
import type { SessionStep } from "../domain/session_flow.ts";
import type { BackupRecord } from "./backup_record.ts";
import type { OpenedVerification, TrustedVerifier } from "./verification_result.ts";
import type { GivenOutcome, SessionRecord } from "./session_record.ts";

/** What one provider is. */
export interface ProviderFacts {
  readonly name: string;
  /** Of its shares: 1, 2 or 3. */
  readonly index: number;
  /** Its static certificate, as D5/00 carries it. */
  readonly staticCertificate: Uint8Array;
  /** Keys (65) of the issuers of devices. */
  readonly deviceIssuers: readonly Uint8Array[];
  readonly verifier: TrustedVerifier & { readonly url: string };
  /** Where identity verification is asked beside the release, which always asks. */
  readonly verifies: { readonly backup: boolean; readonly delete: boolean };
  readonly lockAuthority: JWK;
  readonly limits: ReleaseLimits & {
    /** Life of a session, and of a restore's lock to its device, in seconds. */
    readonly sessionSeconds: number;
    readonly lockSeconds: number;
  };
}

/** What a step sees. */
export interface Scene {
  readonly facts: ProviderFacts;
  /** 16 bytes. */
  readonly sessionId: Uint8Array;
  readonly session: SessionRecord;
  readonly backup: BackupRecord | undefined;
  /** Channel to the device. */
  readonly channel: RecoverChannel;
  readonly verification: OpenedVerification | undefined;
  readonly nowSeconds: number;
  /** SHA-256 of the request in hex. */
  readonly request: string;
  /** Fresh bytes: generation of a new row or nonce of a deletion (16). */
  readonly fresh: Uint8Array;
}

/** What a step decides. */
export interface Decision {
  readonly outcome: GivenOutcome;
  /** Why it refuses. */
  readonly reasons: readonly ProviderReason[];
  readonly event: SessionStep;
  /** What changes in the session beside its state. */
  readonly session?: Partial<SessionRecord>;
  /** The row afterwards; undefined: unchanged. */
  readonly backup?: BackupRecord | "remove";
}

/** A decision that refuses. What was stored stays. */
export function refuse(
  reason: ProviderReason | readonly ProviderReason[],
  code = "PROVIDER_REFUSED",
): Decision {
  return {
    outcome: { kind: "refuse", code },
    reasons: typeof reason === "string" ? [reason] : reason,
    event: "refuse",
  };
}
