/**
 * Requests and answers between the wallet's companion and the orchestrator (behind the gateway), as schemas. Byte strings are
 * upper-case hex.
 *
 * A session is a row of numbered steps. Each answer carries the present step; a step is answered with its own number. The same
 * answer to the same step may be sent any number of times: it is counted once, and what comes back is the step that is present.
 */

import { z } from "zod";
import { hexBytes, hexRange } from "./attestation.ts";
import { RecoverIdentity } from "./recover.ts";

/** What a companion asks for. */
export const CompanionFlow = z.enum(["backup", "restore", "delete"]);
/** Longest batch of APDUs. */
export const BATCH_APDUS_MAX = 16;
/** Longest verification result that is relayed, in characters. */
export const VERIFICATION_MAX = 16_384;

/** POST /v1/recover/sessions: the companion draws the identifier, so that this request can be repeated too. */
export const CreateRecoverSession = z.discriminatedUnion("flow", [
  z.strictObject({ session: z.uuid(), flow: z.literal("backup"), identity: RecoverIdentity }),
  z.strictObject({
    session: z.uuid(),
    flow: z.literal("restore"),
    backupId: hexBytes(16),
    /** Index of a provider that shall not take part: two others are enough, and one that misbehaves must not block them. */
    avoid: z.int().min(1).max(3).optional(),
  }),
  z.strictObject({ session: z.uuid(), flow: z.literal("delete"), backupId: hexBytes(16) }),
]);

/** POST /v1/recover/sessions/{session}/apdus: answers (data and status word) to the step of this number. */
export const ApduAnswers = z.strictObject({
  batch: z.int().min(1),
  answers: z.array(hexRange(2, 257)).min(1).max(BATCH_APDUS_MAX),
});
/** POST /v1/recover/sessions/{session}/verifications: what the provider's identity verifier said, sealed to its vault. */
export const VerificationResult = z.strictObject({
  batch: z.int().min(1),
  sealedVerification: z.string().min(1).max(VERIFICATION_MAX),
});

/** What comes next. */
export const RecoverStep = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("apdus"),
    /** Sent to the device in this order; the first that is not answered with 9000 is the last one sent. */
    apdus: z.array(hexRange(5, 260)).min(1).max(BATCH_APDUS_MAX),
    /** For the person: what it is about. */
    phase: z.string(),
    provider: z.string().nullable(),
  }),
  z.strictObject({
    kind: z.literal("verify"),
    provider: z.string(),
    /** Where the person goes, and what the verification is bound to. */
    verifier: z.url(),
    nonce: hexBytes(32),
    /** Whether the verifier asks the code that the device shows. */
    securityCode: z.boolean(),
  }),
  z.strictObject({ kind: z.literal("done") }),
  z.strictObject({
    kind: z.literal("failed"),
    code: z.string(),
    detail: z.string(),
    next: z.string(),
  }),
]);

/** Answer of every request of a session. */
export const RecoverSessionAnswer = z.strictObject({
  session: z.uuid(),
  flow: CompanionFlow,
  backupId: hexBytes(16),
  /** Number of the present step. */
  batch: z.int().min(1),
  step: RecoverStep,
});

export type CompanionFlow = z.infer<typeof CompanionFlow>;
export type CreateRecoverSession = z.infer<typeof CreateRecoverSession>;
export type ApduAnswers = z.infer<typeof ApduAnswers>;
export type VerificationResult = z.infer<typeof VerificationResult>;
export type RecoverStep = z.infer<typeof RecoverStep>;
export type RecoverSessionAnswer = z.infer<typeof RecoverSessionAnswer>;
