/**
 * Requests and answers between a wallet and the update service (behind the gateway), as schemas. Byte strings are upper-case
 * hex; files are base64. The wallet draws the number of its update (a UUID) itself: it stands in every path, so that a gateway
 * keeps the whole update at one instance.
 *
 *     POST /v1/updates/{update}/challenge      a host challenge for the card's mutual authentication, single use
 *     POST /v1/updates/{update}/begin          a card that proved itself: a new upgrade
 *     POST /v1/updates/{update}/resume         a card in the middle of its upgrade, that cannot prove itself any more
 *     POST /v1/updates/{update}/steps/{step}   the card's answers to the commands of the step before
 *
 * Every request may be sent again: the same request gets the same answer, byte for byte.
 */

import { z } from "zod";
import { BUNDLE_ROOTS_MAX } from "../release/bounds.ts";
import { hexBytes, hexRange } from "./attestation.ts";

/** Longest request body, in bytes: a package of 1.6 MB and its metadata, in base64. */
export const UPDATE_BODY_MAX = 4 * 1024 * 1024;
/** Most commands in one step: a lost answer costs no more than those. */
export const STEP_COMMANDS_MAX = 64;
/** Most steps of an update: 256 blocks, and what is around them. */
export const UPDATE_STEPS_MAX = 64;

const base64 = (bytesMax: number) => z.base64().max(Math.ceil(bytesMax / 3) * 4);

/** Number of an update. */
export const UpdateId = z.uuid();

/** Answer of `challenge`. */
export const UpdateChallengeAnswer = z.strictObject({
  /** Host challenge for GET CARD CERTIFICATE. */
  hostChallenge: hexBytes(8),
  /** Seconds since 1970. */
  expiresAt: z.int(),
});

/** What the card said in the mutual authentication over the challenge. Spec/card.md, section 5. */
export const CardEvidence = z.strictObject({
  certificate: hexRange(1, 239),
  cardChallenge: hexBytes(8),
  ephemeralKey: hexBytes(65),
  /** DER, by the card's static key over `0A` || card challenge || host challenge || ephemeral key. */
  signature: hexRange(8, 72),
});

/** Metadata of a release, as The Update Framework gives it: see shared/protocol/release/metadata.ts. */
export const WireRelease = z.strictObject({
  roots: z.array(base64(512_000)).max(BUNDLE_ROOTS_MAX),
  timestamp: base64(32_768),
  snapshot: base64(2_000_000),
  targets: base64(5_000_000),
  delegated: z.record(z.string().max(64), base64(5_000_000)),
  path: z.string().min(1).max(256),
});

/** Body of `begin`. */
export const BeginUpdate = z.strictObject({
  card: CardEvidence,
  /** Version that GET STATUS told: `MAJOR.MINOR.PATCH`. */
  version: z.string().regex(/^\d{1,3}\.\d{1,3}\.\d{1,3}$/),
  release: WireRelease,
  /** The package file. */
  package: base64(1_600_000),
});

/** Body of `resume`. */
export const ResumeUpdate = z.strictObject({
  /** The service's sealed word that this card may be upgraded; null: the wallet has lost it, and the service looks for its own. */
  authorization: base64(4096).nullable(),
  /** The package file: the one that was begun with, or with `recovery` the card's old one. */
  package: base64(1_600_000),
  /** Metadata of the old package, to take the new one back. */
  recovery: WireRelease.nullable(),
});

/** Body of `steps/{step}`: answers with their status words, in order; the last one may be one that is not `9000`. */
export const UpdateAnswers = z.strictObject({
  answers: z.array(hexRange(2, 258)).min(1).max(STEP_COMMANDS_MAX),
});

/** Where an update is. */
export const UPDATE_PHASES = ["opening", "authenticating", "saving", "loading", "restoring", "done"] as const;
/** One of {@link UPDATE_PHASES}. */
export type UpdatePhase = (typeof UPDATE_PHASES)[number];

/** How an update ended: `updated`, `recovered` (the old package again), or `nothing` (the card waits for nothing). */
export const UPDATE_ENDS = ["updated", "recovered", "nothing"] as const;
/** One of {@link UPDATE_ENDS}. */
export type UpdateEnd = (typeof UPDATE_ENDS)[number];

/** Answer of `begin`, `resume` and `steps`. */
export const UpdateStep = z.strictObject({
  update: UpdateId,
  /** Number of this step; the answers to its commands go to the next one. */
  step: z.int().min(0).max(UPDATE_STEPS_MAX),
  phase: z.enum(UPDATE_PHASES),
  /** Commands for the card, one after the other, until one is not answered `9000`. */
  commands: z.array(hexRange(4, 261)).max(STEP_COMMANDS_MAX),
  /** To be on the wallet's disk before the first of the commands goes to the card; null: the one that it has. */
  authorization: base64(4096).nullable(),
  end: z.enum(UPDATE_ENDS).nullable(),
});

/** See {@link UpdateChallengeAnswer}. */
export type UpdateChallengeAnswer = z.infer<typeof UpdateChallengeAnswer>;
/** See {@link CardEvidence}. */
export type CardEvidence = z.infer<typeof CardEvidence>;
/** See {@link WireRelease}. */
export type WireRelease = z.infer<typeof WireRelease>;
/** See {@link BeginUpdate}. */
export type BeginUpdate = z.infer<typeof BeginUpdate>;
/** See {@link ResumeUpdate}. */
export type ResumeUpdate = z.infer<typeof ResumeUpdate>;
/** See {@link UpdateAnswers}. */
export type UpdateAnswers = z.infer<typeof UpdateAnswers>;
/** See {@link UpdateStep}. */
export type UpdateStep = z.infer<typeof UpdateStep>;
