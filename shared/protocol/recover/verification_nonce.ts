/** What an identity verification is bound to (spec/recover.md, section 4): one flow at one provider with one device. */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, toUtf8 } from "../../base/bytes.ts";
import { PUBLIC_KEY_LENGTH } from "../../crypto/secp256k1.ts";
import { requireLength } from "../recovery_key/length_prefixed.ts";
import { LENGTH } from "./constants.ts";

/** What a share or a deletion is asked for. */
export const VERIFICATION_FLOWS = ["backup", "restore", "delete"] as const;
/** One of {@link VERIFICATION_FLOWS}. */
export type VerificationFlow = (typeof VERIFICATION_FLOWS)[number];

/** What is bound. */
export interface VerificationBinding {
  readonly flow: VerificationFlow;
  readonly providerName: string;
  /** The provider's ephemeral public key, 65 bytes. */
  readonly providerEphemeral: Uint8Array;
  /** The device's static certificate as it was sent: len || header || len || key || len || signature. */
  readonly deviceCertificate: Uint8Array;
  /** The device's ephemeral public key, 65 bytes. */
  readonly deviceEphemeral: Uint8Array;
  /** 16 bytes. */
  readonly backupId: Uint8Array;
}

const FLOW_BYTE: Readonly<Record<VerificationFlow, number>> = { backup: 1, restore: 2, delete: 3 };

/**
 * Nonce (32) that the verifier's result must name: SHA-256 of flow (1) || provider name || provider ephemeral key || device
 * certificate || device ephemeral key || backup ID. The certificate carries its own lengths, and the keys stand between the
 * name and it, so that no two bindings give the same bytes.
 */
export function verificationNonce(binding: VerificationBinding): Uint8Array {
  return sha256(concat(
    Uint8Array.of(FLOW_BYTE[binding.flow]),
    toUtf8(binding.providerName),
    requireLength("ephemeral public key", binding.providerEphemeral, PUBLIC_KEY_LENGTH),
    binding.deviceCertificate,
    requireLength("ephemeral public key", binding.deviceEphemeral, PUBLIC_KEY_LENGTH),
    requireLength("backup ID", binding.backupId, LENGTH.BACKUP_ID),
  ));
}
