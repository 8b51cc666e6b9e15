/**
 * Requests and answers between orchestrator and backup provider (behind the gateway's provider routes), as schemas. Byte
 * strings are upper-case hex. Whatever is called `sealed` is sealed between the device and this provider's vault, or to the
 * vault by the provider's own identity verifier: neither gateway nor orchestrator nor the provider's node can open it.
 *
 * A backup takes three requests (session, deposit, commit), a restore four (session, confirm, session, release), a deletion three
 * (session, delete, deletion). Every request is safe to repeat: the same bytes get the same answer.
 */

import { z } from "zod";
import { hexBytes, hexRange } from "./attestation.ts";

/** What a session is for. `release` is the second session of a restore, with new channels. */
export const RecoverFlow = z.enum(["backup", "restore", "release", "delete"]);

/** Identifier that the orchestrator draws anew for each provider: two providers' ids cannot be joined. */
export const RecoverSessionId = z.uuid();

const text = z.string().min(1).max(195);
/** Whose backup it is; the texts are at most 195 bytes of UTF-8 together. */
export const RecoverIdentity = z.strictObject({
  backupName: text,
  firstName: text,
  lastName: text,
  dateOfBirth: text,
  placeOfBirth: text,
});

/** The device, as it showed itself to the orchestrator. The vault checks all of it again. */
export const RecoverDevice = z.strictObject({
  /** In the clear: len || header || len || key || len || signature. */
  certificate: hexRange(3, 511),
  hostNonce: hexBytes(8),
  deviceNonce: hexBytes(8),
  ephemeralKey: hexBytes(65),
  /** Of `12` || device nonce || host nonce || ephemeral key, by the device's static key. */
  ephemeralSignature: hexRange(8, 72),
});

/** POST /v1/sessions: the vault draws an ephemeral key, and introduces itself. */
export const OpenSessionRequest = z.strictObject({
  session: RecoverSessionId,
  flow: RecoverFlow,
  backupId: hexBytes(16),
  /** Of a backup; in the other flows the vault unseals what it keeps. */
  identity: RecoverIdentity.nullable(),
  device: RecoverDevice,
  /** Whether this provider has the device confirm the identity (D4): the first of a session. */
  first: z.boolean(),
});
/** Answer of POST /v1/sessions. */
export const OpenSessionAnswer = z.strictObject({
  session: RecoverSessionId,
  providerName: z.string().min(1).max(95),
  /** Data of D5/00 and D5/80. */
  staticCertificate: hexRange(1, 255),
  ephemeralCertificate: hexRange(1, 255),
  /** Content of D4; null unless `first`. */
  sealedIdentity: hexRange(17, 271).nullable(),
  /** Content of D7. */
  sealedHash: hexBytes(48),
  /** What the identity verification is bound to, and by whom it is done; null where this provider asks for none. */
  verification: z.strictObject({ nonce: hexBytes(32), verifier: z.url() }).nullable(),
  /** What the vault unsealed, for the orchestrator to compare; null in a backup. */
  identity: RecoverIdentity.nullable(),
});

/** The verifier's result: a JWT signed by the verifier inside a JWE to the vault. */
const SealedVerification = z.string().min(1).max(16_384);

/** POST /v1/sessions/{session}/deposit: what D8 answered. The share is stored, and not yet in force. */
export const DepositRequest = z.strictObject({
  sealedShare: hexBytes(213),
  words: z.union([z.literal(12), z.literal(18), z.literal(24)]),
  commitments: hexBytes(192),
  auxiliaryPoint: hexBytes(96),
  sealedVerification: SealedVerification.nullable(),
});
/** Answer of a deposit: the proof that the vault has the share. */
export const DepositAnswer = z.strictObject({
  /** Content of D9/04. */
  shareCommitment: hexBytes(96),
  /** Content of D9/03. */
  sealedValues: hexBytes(48),
});

/** POST /v1/sessions/{session}/commit and DELETE /v1/sessions/{session}: in force at all providers, or gone at all. */
export const SessionStateAnswer = z.strictObject({
  session: RecoverSessionId,
  state: z.enum(["stored", "abandoned", "locked", "deleted"]),
});

/** POST /v1/sessions/{session}/confirm: what D7 answered in a restore. It locks the backup to this device's certificate. */
export const ConfirmRequest = z.strictObject({ sealedConfirmation: hexBytes(31) });

/** POST /v1/sessions/{session}/release, in a session of flow `release`. */
export const ReleaseRequest = z.strictObject({ sealedVerification: SealedVerification });
/** Answer of a release. */
export const ReleaseAnswer = z.strictObject({
  /** Contents of D9/02, D9/04, D9/03 and DA. */
  commitments: hexBytes(192),
  shareCommitment: hexBytes(96),
  sealedValues: hexBytes(48),
  sealedShare: hexBytes(116),
  words: z.union([z.literal(12), z.literal(18), z.literal(24)]),
});

/** POST /v1/sessions/{session}/delete. */
export const DeleteRequest = z.strictObject({ sealedVerification: SealedVerification.nullable() });
/** Answer: content of DB. */
export const DeleteAnswer = z.strictObject({ sealedNonce: hexBytes(32) });
/** POST /v1/sessions/{session}/deletion: what DB answered; the share is gone afterwards. */
export const DeletionRequest = z.strictObject({ sealedSignature: hexRange(24, 88) });

export type RecoverFlow = z.infer<typeof RecoverFlow>;
export type RecoverIdentity = z.infer<typeof RecoverIdentity>;
export type RecoverDevice = z.infer<typeof RecoverDevice>;
export type OpenSessionRequest = z.infer<typeof OpenSessionRequest>;
export type OpenSessionAnswer = z.infer<typeof OpenSessionAnswer>;
export type DepositRequest = z.infer<typeof DepositRequest>;
export type DepositAnswer = z.infer<typeof DepositAnswer>;
export type SessionStateAnswer = z.infer<typeof SessionStateAnswer>;
export type ConfirmRequest = z.infer<typeof ConfirmRequest>;
export type ReleaseRequest = z.infer<typeof ReleaseRequest>;
export type ReleaseAnswer = z.infer<typeof ReleaseAnswer>;
export type DeleteRequest = z.infer<typeof DeleteRequest>;
export type DeleteAnswer = z.infer<typeof DeleteAnswer>;
export type DeletionRequest = z.infer<typeof DeletionRequest>;
