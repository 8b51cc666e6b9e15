/** The first step of a session: who is the device, whose backup is it, and how the provider introduces itself. Pure. */

import { sha256 } from "@noble/hashes/sha2.js";
import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { ecdsaVerify } from "shared/crypto/secp256k1.ts";
import {
  decodeDeviceCertificate,
  deviceEphemeralBytes,
  deviceStaticBytes,
  encodeProviderCertificate,
} from "shared/protocol/recover/certificates.ts";
import type { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { IDENTITY_FLOW, ROLE } from "shared/protocol/recover/constants.ts";
import {
  decodeIdentity,
  encodeIdentity,
  type Identity,
  identityHash,
} from "shared/protocol/recover/identity.ts";
import type { ProviderReason } from "shared/log/reasons.ts";
import { verificationNonce } from "shared/protocol/recover/verification_nonce.ts";
import type { OpenSessionAnswer, OpenSessionRequest } from "shared/protocol/wire/recover.ts";
import type { BackupRecord } from "./backup_record.ts";
import type { ProviderFacts } from "./scene.ts";
import type { SessionRecord } from "./session_record.ts";

/** What the step sees. */
export interface OpenScene {
  readonly facts: ProviderFacts;
  readonly request: OpenSessionRequest;
  /** SHA-256 of the request in hex. */
  readonly requestHash: string;
  readonly backup: BackupRecord | undefined;
  readonly nowSeconds: number;
  /** The vault's ephemeral key of this session, and its signature by the provider's static key. */
  readonly ephemeral: {
    readonly publicKey: Uint8Array;
    readonly signature: Uint8Array;
  };
  readonly channel: RecoverChannel;
  /** Its key in hex: the session keeps it, and the ephemeral private key is gone when the step is. */
  readonly channelKey: string;
}

/** Why a device is not one of ours; undefined when it is: section 6, and the vault trusts nobody else's check. */
export function deviceFault(
  device: OpenSessionRequest["device"],
  issuers: readonly Uint8Array[],
): "certificate" | "static-signature" | "ephemeral-signature" | undefined {
  try {
    const { header, publicKey, signature } = decodeDeviceCertificate(fromHex(device.certificate));
    const bytes = deviceStaticBytes(header, publicKey);
    if (!issuers.some((issuer) => ecdsaVerify(issuer, bytes, signature))) return "static-signature";
    const ephemeral = deviceEphemeralBytes(
      fromHex(device.deviceNonce),
      fromHex(device.hostNonce),
      fromHex(device.ephemeralKey),
    );
    return ecdsaVerify(publicKey, ephemeral, fromHex(device.ephemeralSignature))
      ? undefined
      : "ephemeral-signature";
  } catch (error) {
    if (error instanceof CodedError) return "certificate";
    throw error;
  }
}

/** SHA-256 of a device's certificate, by which a restore is locked to it. */
export function deviceHash(certificateHex: string): Uint8Array {
  return sha256(fromHex(certificateHex));
}

/** How a restore's lock stands towards a device. */
export function lockState(
  backup: BackupRecord | undefined,
  certificateHex: string,
  nowSeconds: number,
): "same-device" | "another-device" | "expired" | "none" {
  const lock = backup?.lock;
  if (lock === undefined) return "none";
  if (nowSeconds > lock.untilSeconds) return "expired";
  return equal(lock.device, deviceHash(certificateHex)) ? "same-device" : "another-device";
}

/** A new session, or why there is none. */
export type Opened = { readonly kind: "open"; readonly session: SessionRecord } | {
  readonly kind: "refuse";
  readonly code: string;
  readonly reasons: readonly ProviderReason[];
};

/** Decides. */
export function openStep(scene: OpenScene): Opened {
  const { facts, request, backup, nowSeconds } = scene;
  const refused = (reason: ProviderReason, code = "PROVIDER_REFUSED"): Opened => ({
    kind: "refuse",
    code,
    reasons: [reason],
  });
  const { flow, device } = request;
  const fault = deviceFault(device, facts.deviceIssuers);
  if (fault !== undefined) return refused(`device-${fault}`, "RECOVER_CERTIFICATE");
  if ((flow === "backup") !== (request.identity !== null)) {
    return refused("identity-given", "PROVIDER_MALFORMED");
  }
  if (flow === "backup" && backup?.state === "stored") return refused("backup-stored", "PROVIDER_EXISTS");
  if (flow !== "backup" && backup?.state !== "stored") return refused(`backup-${backup?.state ?? "absent"}`);
  if (flow === "release") {
    const lock = lockState(backup, device.certificate, nowSeconds);
    if (lock !== "same-device") return refused(`lock-${lock}`);
  }
  const identity = identityOf(scene);
  if (identity === undefined) return refused("identity-text", "RECOVER_IDENTITY");
  const session: SessionRecord = {
    flow,
    state: flow,
    backupId: request.backupId,
    identity,
    certificate: device.certificate,
    channelKey: scene.channelKey,
    first: request.first,
    verificationNonce: nonceOf(scene),
    untilSeconds: nowSeconds + facts.limits.sessionSeconds,
    deleteNonce: null,
    counted: null,
    given: {},
  };
  const answer = introduce(scene, session, identity);
  const given = { open: { request: scene.requestHash, outcome: { kind: "answer" as const, answer } } };
  return { kind: "open", session: { ...session, given } };
}

function identityOf({ request, backup }: OpenScene): Identity | undefined {
  try {
    const backupId = fromHex(request.backupId);
    if (request.identity === null) {
      const { backupId: _id, flow: _flow, ...identity } = decodeIdentity(backup!.identity);
      return identity;
    }
    encodeIdentity({ backupId, flow: IDENTITY_FLOW.BACKUP_OR_RESTORE, ...request.identity });
    return request.identity;
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

function nonceOf({ facts, request, ephemeral }: OpenScene): string | null {
  const { flow } = request;
  if (flow === "restore" || (flow === "backup" && !facts.verifies.backup)) return null;
  if (flow === "delete" && !facts.verifies.delete) return null;
  return toHex(verificationNonce({
    flow: flow === "release" ? "restore" : flow,
    providerName: facts.name,
    providerEphemeral: ephemeral.publicKey,
    deviceCertificate: fromHex(request.device.certificate),
    deviceEphemeral: fromHex(request.device.ephemeralKey),
    backupId: fromHex(request.backupId),
  }));
}

function introduce(
  { facts, request, ephemeral, channel }: OpenScene,
  session: SessionRecord,
  identity: Identity,
): OpenSessionAnswer {
  const backupId = fromHex(request.backupId);
  const flow = request.flow === "delete" ? IDENTITY_FLOW.DELETE : IDENTITY_FLOW.BACKUP_OR_RESTORE;
  const { publicKey, signature } = ephemeral;
  const certificate = { role: ROLE.PROVIDER_EPHEMERAL, name: facts.name, publicKey, signature };
  return {
    session: request.session,
    providerName: facts.name,
    staticCertificate: toHex(facts.staticCertificate),
    ephemeralCertificate: toHex(encodeProviderCertificate(certificate)),
    sealedIdentity: request.first
      ? toHex(channel.seal(encodeIdentity({ backupId, flow, ...identity })))
      : null,
    sealedHash: toHex(channel.seal(identityHash(publicKey, backupId, identity))),
    verification: session.verificationNonce === null
      ? null
      : { nonce: session.verificationNonce, verifier: facts.verifier.url },
    identity: request.flow === "backup" ? null : identity,
  };
}
