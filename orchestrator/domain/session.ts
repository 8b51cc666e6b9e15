/**
 * The state of one session, as it is kept (sealed) between requests. Byte strings are upper-case hex.
 *
 * It holds the orchestrator's own channel to the device. It never holds a share or a key of a provider's channel: what passes
 * between device and vault is sealed under keys that are never here.
 */

import { z } from "zod";
import { toHex } from "shared/base/bytes.ts";
import { generatePrivateKey } from "shared/crypto/secp256k1.ts";
import { LENGTH, PROVIDERS } from "shared/protocol/recover/constants.ts";
import { hexBytes, hexRange } from "shared/protocol/wire/attestation.ts";
import {
  DeleteAnswer,
  DepositAnswer,
  OpenSessionAnswer,
  RecoverDevice,
  RecoverIdentity,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import {
  CompanionFlow,
  type CreateRecoverSession,
  RecoverStep,
} from "shared/protocol/wire/recover_session.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { PHASES } from "./session_flow.ts";

const Words = z.union([z.literal(12), z.literal(18), z.literal(24)]);

/** One device session: a restore has two. */
const Round = z.strictObject({
  hostNonce: hexBytes(LENGTH.NONCE),
  deviceNonce: hexBytes(LENGTH.NONCE).nullable(),
  /** Private key of the orchestrator's side; the channel's key follows from it and the device's. */
  ephemeralKey: hexBytes(32),
  /** Of the ephemeral certificate, by the orchestrator's static key. */
  signature: hexRange(8, 72).nullable(),
  device: RecoverDevice.nullable(),
});

/** One provider's part. */
const ProviderPart = z.strictObject({
  /** 1, 2 or 3: the index of its share. */
  index: z.int().min(1).max(PROVIDERS),
  /** An identifier for each round, drawn for this provider alone. */
  sessions: z.tuple([z.uuid(), z.uuid()]),
  /** Of a restore: it did not open a session, and another was taken. */
  passedOver: z.boolean(),
  opened: z.tuple([OpenSessionAnswer.nullable(), OpenSessionAnswer.nullable()]),
  sealedShare: hexBytes(213).nullable(),
  sealedVerification: z.string().nullable(),
  deposited: DepositAnswer.nullable(),
  sealedConfirmation: hexBytes(31).nullable(),
  released: ReleaseAnswer.nullable(),
  asking: DeleteAnswer.nullable(),
  sealedSignature: hexRange(24, 88).nullable(),
});

/** The state. */
export const SessionState = z.strictObject({
  session: z.uuid(),
  /** Who opened it: the name in its certificate. */
  client: z.string(),
  flow: CompanionFlow,
  backupId: hexBytes(LENGTH.BACKUP_ID),
  /** Of a backup from the start; else as the first provider unsealed it. */
  identity: RecoverIdentity.nullable(),
  phase: z.enum(PHASES),
  /** Which of `parts` has its turn. */
  cursor: z.int().min(0),
  /** Number of the present step, and the step; null while the orchestrator has something to do. */
  batch: z.int().min(1),
  step: RecoverStep.nullable(),
  /** SHA-256 of the answer to step `batch` once it came, of step `batch` - 1 before. */
  answerDigest: hexBytes(32).nullable(),
  rounds: z.tuple([Round, Round]),
  parts: z.array(ProviderPart).max(PROVIDERS),
  commitments: hexBytes(LENGTH.COMMITMENTS).nullable(),
  words: Words.nullable(),
  failure: z.strictObject({ code: z.string(), detail: z.string(), next: z.string() }).nullable(),
});
/** The state of a session. */
export type SessionState = z.infer<typeof SessionState>;
/** One provider's part of it. */
export type ProviderPart = z.infer<typeof ProviderPart>;
/** One device session of it. */
export type Round = z.infer<typeof Round>;

/** A new session; everything random in it is drawn now, so that every later step can be repeated to the byte. */
export function newSession(
  request: CreateRecoverSession,
  client: string,
  random: RandomSource,
): SessionState {
  const round = (): Round => {
    using key = generatePrivateKey(random);
    return {
      hostNonce: toHex(random(LENGTH.NONCE)),
      deviceNonce: null,
      ephemeralKey: toHex(key.reveal()),
      signature: null,
      device: null,
    };
  };
  return {
    session: request.session,
    client,
    flow: request.flow,
    backupId: request.flow === "backup" ? toHex(random(LENGTH.BACKUP_ID)) : request.backupId,
    identity: request.flow === "backup" ? request.identity : null,
    phase: "greeting",
    cursor: 0,
    batch: 1,
    step: null,
    answerDigest: null,
    rounds: [round(), round()],
    parts: Array.from({ length: PROVIDERS }, (_, i) => ({
      index: i + 1,
      sessions: [uuid(random), uuid(random)],
      passedOver: request.flow === "restore" && request.avoid === i + 1,
      opened: [null, null],
      sealedShare: null,
      sealedVerification: null,
      deposited: null,
      sealedConfirmation: null,
      released: null,
      asking: null,
      sealedSignature: null,
    })),
    commitments: null,
    words: null,
    failure: null,
  };
}

/** A random UUID (RFC 9562, version 4). */
function uuid(random: RandomSource): string {
  const bytes = random(16);
  bytes[6] = bytes[6]! & 0x0f | 0x40;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return toHex(bytes).toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The session with one part changed. */
export function withPart(state: SessionState, at: number, change: Partial<ProviderPart>): SessionState {
  return { ...state, parts: state.parts.map((part, i) => i === at ? { ...part, ...change } : part) };
}

/** The session with one round changed. */
export function withRound(state: SessionState, at: 0 | 1, change: Partial<Round>): SessionState {
  const [first, second] = state.rounds;
  return {
    ...state,
    rounds: at === 0 ? [{ ...first, ...change }, second] : [first, { ...second, ...change }],
  };
}

const NO_KEY = "00".repeat(32);

/** The session once it has ended: without its keys and without what it relayed. */
export function withoutSecrets(state: SessionState): SessionState {
  const empty = (round: Round): Round => ({ ...round, ephemeralKey: NO_KEY, signature: null, device: null });
  return {
    ...state,
    rounds: [empty(state.rounds[0]), empty(state.rounds[1])],
    parts: state.parts.map(({ index, sessions, passedOver }) => ({
      index,
      sessions,
      passedOver,
      opened: [null, null],
      sealedShare: null,
      sealedVerification: null,
      deposited: null,
      sealedConfirmation: null,
      released: null,
      asking: null,
      sealedSignature: null,
    })),
  };
}
