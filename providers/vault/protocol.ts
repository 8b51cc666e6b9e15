/**
 * Requests and answers between a provider's node and its vault. The vault keeps nothing between them but what it needs to
 * notice records that go back: the node hands it the sealed records, and stores what comes back before it tells anybody.
 */

import { z } from "zod";
import type { ProviderReason } from "shared/log/reasons.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";
import { RecoverSessionId } from "shared/protocol/wire/recover.ts";

/** Longest frame between node and vault, in bytes. */
export const VAULT_FRAME_MAX = 262_144;

/** Steps that a session can take, as the node's routes name them. */
export const VAULT_STEPS = [
  "open",
  "deposit",
  "commit",
  "abandon",
  "confirm",
  "release",
  "delete",
  "deletion",
] as const;
/** One of {@link VAULT_STEPS}. */
export type VaultStep = (typeof VAULT_STEPS)[number];

const Sealed = z.strictObject({ keyVersion: z.int().min(1), blob: hexRange(28, 16_384) });
/** State of a session, sealed; `version` grows by one with each change. */
export const SealedSession = Sealed.extend({ version: z.int().min(1) });
/** A sealed state of a session. */
export type SealedSession = z.infer<typeof SealedSession>;
/** A row: sealed backup. */
export type SealedBackup = z.infer<typeof Sealed>;

/** Which row a session is about. Of a new session the backup identifier is asked, of another one its sealed state. */
export const LocateRequest = z.strictObject({
  operation: z.literal("locate"),
  about: z.union([
    z.strictObject({ backupId: hexBytes(16) }),
    z.strictObject({ session: RecoverSessionId, record: SealedSession }),
  ]),
});

/** One step of a session. */
export const StepRequest = z.strictObject({
  operation: z.literal("step"),
  step: z.enum(VAULT_STEPS),
  session: RecoverSessionId,
  /** As it came from the orchestrator: the vault checks it again. */
  body: z.unknown(),
  /** The service's status document. */
  status: z.string().max(4096).nullable(),
  /** The identity verifier's signed key set. */
  keySet: z.string().max(65_536).nullable(),
  sessionRecord: SealedSession.nullable(),
  backup: Sealed.nullable(),
});
/** See {@link StepRequest}. */
export type StepRequest = z.infer<typeof StepRequest>;

/** Asks for what is public of the vault. */
export const DescribeRequest = z.strictObject({ operation: z.literal("describe") });

/** Any request. */
export const VaultRequest = z.discriminatedUnion("operation", [LocateRequest, StepRequest, DescribeRequest]);
/** See {@link VaultRequest}. */
export type VaultRequest = z.infer<typeof VaultRequest>;

/** What the log gets. Never an identifier that stands in a row: the log of one provider cannot be joined with another's rows. */
export interface VaultEvent {
  readonly event: VaultStep | "count";
  readonly result: "done" | "refused";
  /** Why it was refused. */
  readonly reasons: readonly ProviderReason[];
  /** 32 bytes in hex, one for each change of a backup: two changes from the same state have the same, and the second is refused. */
  readonly tag: string | null;
}

/** Answer to a step. The node stores `session` and `backup` with `event` in one transaction, then acts on `outcome`. */
export interface StepAnswer {
  readonly outcome:
    | { readonly kind: "answer"; readonly answer: unknown }
    | { readonly kind: "refuse"; readonly code: string }
    /** The attempt is counted: store, then send the same step with what was stored. */
    | { readonly kind: "counted" }
    /** Another request was here first: read the records again. */
    | { readonly kind: "stale" };
  readonly session: SealedSession | null;
  /** Hex (32) that is the same for two sessions of one device channel; stored with a new session, where it is unique. */
  readonly deviceTag: string | null;
  readonly backup:
    | { readonly put: SealedBackup; readonly identifier: string }
    | { readonly remove: true; readonly identifier: string }
    | null;
  readonly event: VaultEvent | null;
}

/** Answer to `locate`: the diversified identifier (32) in hex. */
export interface LocateAnswer {
  readonly identifier: string;
}

/** Answer to `describe`. */
export interface DescribeAnswer {
  readonly providerName: string;
  /** Public P-256 key to which verifiers seal their results. */
  readonly verificationKey: Readonly<Record<string, unknown>>;
  readonly currentVersion: number;
}

/** What a node needs of a vault, in this process or in another. Throws `CodedError` for faults; refusals are outcomes. */
export interface VaultPort {
  locate(about: z.infer<typeof LocateRequest>["about"]): Promise<LocateAnswer>;
  step(request: Omit<StepRequest, "operation">): Promise<StepAnswer>;
  describe(): Promise<DescribeAnswer>;
}
