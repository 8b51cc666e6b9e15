/** The steps of an open session, each a pure function of (request, records). What is refused changes nothing that is stored. */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equal, equalConstantTime, fromHex, readUint, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaVerify, isPublicKey } from "shared/crypto/secp256k1.ts";
import { CONFIRM_RESTORE, IDENTITY_FLOW, LENGTH } from "shared/protocol/recover/constants.ts";
import { encodeIdentity } from "shared/protocol/recover/identity.ts";
import { expectedShareCommitment, isAuxiliaryPoint, isConsistent } from "shared/protocol/recover/sharing.ts";
import type {
  ConfirmRequest,
  DeleteAnswer,
  DeletionRequest,
  DepositAnswer,
  DepositRequest,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import { type VerificationFault, verificationFault } from "../domain/identity_verification.ts";
import { decideRelease } from "../domain/release.ts";
import { type BackupRecord, USED_RESULT_LENGTH, USED_RESULTS } from "./backup_record.ts";
import { deviceHash, lockState } from "./open_step.ts";
import { type Decision, refuse, type Scene } from "./scene.ts";

const INDEX_LENGTH = 4;
const DELETION_KEY_LENGTH = 65;

/** D8: the share arrives. It is checked against the commitments before it is kept, and is not in force yet. */
export function depositStep(scene: Scene, body: DepositRequest): Decision {
  const { facts, session, backup, channel } = scene;
  if (backup?.state === "stored") return refuse("backup-stored", "PROVIDER_EXISTS");
  const verified = verificationReason(scene, []);
  if (verified !== undefined) return refuse(`verification-${verified}`);
  if (!isAuxiliaryPoint(fromHex(body.auxiliaryPoint))) return refuse("auxiliary-point", "RECOVER_SHARE");
  const message = opened(scene, body.sealedShare);
  if (message === undefined) return refuse("sealed", "RECOVER_SEALED");
  try {
    const commitments = fromHex(body.commitments);
    const value = new Secret(message.slice(0, LENGTH.SHARE));
    let at = LENGTH.SHARE;
    const index = message.slice(at, at += INDEX_LENGTH);
    const deletionKey = message.slice(at, at += DELETION_KEY_LENGTH);
    if (littleEndian(index) !== facts.index) return refuse("index", "RECOVER_SHARE");
    if (!isPublicKey(deletionKey)) return refuse("deletion-key", "RECOVER_SHARE");
    if (!equalConstantTime(message.subarray(at), sha256(commitments))) {
      return refuse("commitments", "RECOVER_SHARE");
    }
    if (!isConsistent({ index: facts.index, value }, commitments)) return refuse("share", "RECOVER_SHARE");
    // The share is consistent, so this is its commitment too, without a second multiplication of secret numbers.
    const commitment = expectedShareCommitment(commitments, facts.index);
    const answer: DepositAnswer = {
      shareCommitment: toHex(commitment),
      sealedValues: toHex(channel.seal(sha256(commitment))),
    };
    return {
      outcome: { kind: "answer", answer },
      reasons: [],
      event: "deposit",
      session: { channelKey: null },
      backup: {
        state: "pending",
        generation: scene.fresh,
        sequence: 1,
        attempts: 0,
        releases: 0,
        index: facts.index,
        words: body.words,
        share: value,
        deletionKey,
        commitments,
        certificate: fromHex(session.certificate),
        identity: encodeIdentity({
          backupId: fromHex(session.backupId),
          flow: IDENTITY_FLOW.BACKUP_OR_RESTORE,
          ...session.identity!,
        }),
        owner: scene.sessionId,
        lock: undefined,
        used: rememberUsed([], scene),
      },
    };
  } finally {
    message.fill(0);
  }
}

/** All providers have their share: this one is in force. */
export function commitStep(scene: Scene): Decision {
  const { backup } = scene;
  if (backup?.state !== "pending" || !equal(backup.owner, scene.sessionId)) {
    return refuse("backup-replaced", "PROVIDER_ORDER");
  }
  return {
    ...state(scene, "stored", "commit"),
    backup: { ...backup, state: "stored", sequence: backup.sequence + 1 },
  };
}

/** The orchestrator gives up: what this session deposited and did not commit is gone, and so is its lock. */
export function abandonStep(scene: Scene): Decision {
  const { backup, session, sessionId } = scene;
  const decision = state(scene, "abandoned", "abandon");
  const change = { ...decision, session: { ...decision.session, channelKey: null } };
  if (session.state === "deposited" && backup?.state === "pending" && equal(backup.owner, sessionId)) {
    return { ...change, backup: "remove" };
  }
  const locked = session.state === "locked" && backup?.lock !== undefined &&
    equal(backup.lock.device, deviceHash(session.certificate));
  return locked
    ? { ...change, backup: { ...backup, lock: undefined, sequence: backup.sequence + 1 } }
    : change;
}

/** D7 of a restore: the person confirmed on this device, and the backup is locked to it for a while. */
export function confirmStep(scene: Scene, body: ConfirmRequest): Decision {
  const { facts, backup, session, nowSeconds } = scene;
  if (backup?.state !== "stored") return refuse("backup-absent");
  const confirmation = opened(scene, body.sealedConfirmation);
  if (confirmation === undefined || !equalConstantTime(confirmation, toUtf8(CONFIRM_RESTORE))) {
    return refuse("confirmation", "RECOVER_SEALED");
  }
  if (lockState(backup, session.certificate, nowSeconds) === "another-device") {
    return refuse("lock-another-device");
  }
  const lock = {
    device: deviceHash(session.certificate),
    untilSeconds: nowSeconds + facts.limits.lockSeconds,
  };
  const decision = state(scene, "locked", "confirm");
  return {
    ...decision,
    session: { channelKey: null },
    backup: { ...backup, lock, sequence: backup.sequence + 1 },
  };
}

/** Before a release is judged: one attempt more. */
export function countStep(scene: Scene): Decision {
  const { backup } = scene;
  if (backup?.state !== "stored") return refuse("backup-absent");
  return {
    outcome: { kind: "answer", answer: null },
    reasons: [],
    event: "count",
    session: { counted: scene.request },
    backup: { ...backup, attempts: Math.min(backup.attempts + 1, 0xffff), sequence: backup.sequence + 1 },
  };
}

/** A release that was counted is judged. */
export function releaseStep(scene: Scene): Decision {
  const { facts, backup, session, channel, nowSeconds } = scene;
  const share = backup && { index: backup.index, value: backup.share };
  const decision = decideRelease({
    backup: backup?.state ?? "absent",
    counted: session.counted === scene.request,
    attempts: backup?.attempts ?? 0,
    releases: backup?.releases ?? 0,
    lock: lockState(backup, session.certificate, nowSeconds),
    verification: verificationReason(scene, backup?.used ?? []),
    consistent: share !== undefined && isConsistent(share, backup!.commitments),
    limits: facts.limits,
  });
  if (decision.kind === "refuse" || backup === undefined) {
    const refusal = refuse(decision.kind === "refuse" ? decision.reasons : "backup-absent");
    return { ...refusal, session: { channelKey: null } };
  }
  const commitment = expectedShareCommitment(backup.commitments, backup.index);
  const index = new Uint8Array(INDEX_LENGTH);
  new DataView(index.buffer).setUint32(0, backup.index, true);
  const message = concat(backup.share.reveal(), index);
  const answer: ReleaseAnswer = {
    commitments: toHex(backup.commitments),
    shareCommitment: toHex(commitment),
    sealedValues: toHex(channel.seal(sha256(concat(backup.commitments, commitment)))),
    sealedShare: toHex(channel.seal(message)),
    words: backup.words as ReleaseAnswer["words"],
  };
  message.fill(0);
  return {
    outcome: { kind: "answer", answer },
    reasons: [],
    event: "release",
    session: { channelKey: null },
    backup: {
      ...backup,
      attempts: 0,
      releases: backup.releases + 1,
      sequence: backup.sequence + 1,
      lock: undefined,
      used: rememberUsed(backup.used, scene),
    },
  };
}

/** A deletion begins with a nonce for the device to sign. */
export function deleteStep(scene: Scene): Decision {
  const { backup, channel, fresh } = scene;
  if (backup?.state !== "stored") return refuse("backup-absent");
  const verified = verificationReason(scene, backup.used);
  if (verified !== undefined) return refuse(`verification-${verified}`);
  const answer: DeleteAnswer = { sealedNonce: toHex(channel.seal(fresh)) };
  return {
    outcome: { kind: "answer", answer },
    reasons: [],
    event: "delete",
    session: { deleteNonce: toHex(fresh) },
  };
}

/** The owner of the seed, and only the owner, has the share deleted. */
export function deletionStep(scene: Scene, body: DeletionRequest): Decision {
  const { backup, session } = scene;
  if (backup === undefined || session.deleteNonce === null) return refuse("backup-absent");
  const signature = opened(scene, body.sealedSignature);
  if (signature === undefined) return refuse("sealed", "RECOVER_SEALED");
  if (!ecdsaVerify(backup.deletionKey, fromHex(session.deleteNonce), signature)) {
    return refuse("deletion-signature");
  }
  const decision = state(scene, "deleted", "deletion");
  return { ...decision, session: { channelKey: null }, backup: "remove" };
}

function state(
  scene: Scene,
  name: "stored" | "abandoned" | "locked" | "deleted",
  event: Decision["event"],
): Decision {
  const answer = { session: uuid(scene.sessionId), state: name };
  return { outcome: { kind: "answer", answer }, reasons: [], event };
}

function uuid(bytes: Uint8Array): string {
  return toHex(bytes).toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** What the device sealed to this channel; undefined when it did not. */
function opened({ channel }: Scene, sealedHex: string): Uint8Array | undefined {
  try {
    return channel.open(fromHex(sealedHex));
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

function littleEndian(bytes: Uint8Array): number {
  return readUint(bytes.toReversed());
}

/** Why the identity verification does not hold; undefined when it holds, or when none is asked. */
function verificationReason(scene: Scene, used: BackupRecord["used"]): VerificationFault | undefined {
  const { facts, session, verification, channel, nowSeconds } = scene;
  if (session.verificationNonce === null) return undefined;
  if (verification === undefined) return "absent";
  if (verification.kind === "fault") return verification.fault;
  const { claims } = verification;
  return verificationFault(claims, {
    issuer: facts.verifier.issuer,
    providerName: facts.name,
    nonce: session.verificationNonce,
    securityCode: session.first ? channel.securityCode() : null,
    identity: session.identity!,
    nowSeconds,
    used: used.some((one) => equal(one, usedMark(claims.jti))),
  });
}

function usedMark(jti: string): Uint8Array {
  return sha256(toUtf8(jti)).slice(0, USED_RESULT_LENGTH);
}

function rememberUsed(used: BackupRecord["used"], { verification }: Scene): BackupRecord["used"] {
  if (verification?.kind !== "claims") return used;
  return [...used, usedMark(verification.claims.jti)].slice(-USED_RESULTS);
}
