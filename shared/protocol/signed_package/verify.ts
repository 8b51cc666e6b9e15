/** Is this CAP file what the holder of the release key signed? Every field is compared, nothing of the file is believed. */

import { fromHex, toHex } from "../../base/bytes.ts";
import { CodedError } from "../../base/errors.ts";
import { p256VerifyRaw } from "../../crypto/p256.ts";
import { type CapDescription, describeCap } from "../cap/description.ts";
import type { CapFile } from "../cap/reader.ts";
import type { DapBlock } from "../gp/load.ts";
import {
  dapBytes,
  type PackageSignature,
  type SignatureAlgorithm,
  type SignedPackage,
  statementBytes,
} from "./document.ts";
import "./errors.ts";

/** A package whose signatures were verified. */
export interface VerifiedPackage {
  readonly cap: CapFile;
  readonly description: CapDescription;
  /** Public key (65) that signed. */
  readonly releaseKey: Uint8Array;
  readonly keyLabel: string;
  /** When the signer says that it signed. */
  readonly signedAt: string;
  /** What goes in front of the load file. */
  readonly dapBlock: DapBlock;
}

/** Fields that must be the CAP file's own, and the code when one is not. In this order. */
const COMPARED = [
  ["packageAid", "PACKAGE_AID", "package AID"],
  ["version", "PACKAGE_VERSION", "version"],
  ["packageName", "PACKAGE_NAME", "package name"],
  ["loadFileDataBlockHash", "PACKAGE_HASH", "hash of what is loaded"],
  ["capSha256", "PACKAGE_ALTERED", "SHA-256 of the file"],
] as const;

/**
 * Verifies a signed package.
 * @param releaseKey 65 bytes, from a place that the file's author cannot write to: a profile, a ceremony's record.
 * @throws {CodedError} `PACKAGE_AID`, `PACKAGE_VERSION`, `PACKAGE_NAME`, `PACKAGE_HASH`, `PACKAGE_ALTERED` (the CAP file is
 *   not the one that was signed), `PACKAGE_KEY` (the release key did not sign, or not both), `PACKAGE_SIGNATURE`.
 */
export function verifySignedPackage(
  signed: SignedPackage,
  cap: CapFile,
  releaseKey: Uint8Array,
): VerifiedPackage {
  const description = describeCap(cap);
  for (const [field, code, words] of COMPARED) {
    const said = signed[field] ?? null;
    if (said !== description[field]) {
      throw new CodedError(
        code,
        `Cannot use package: its ${words} is ${description[field]}, what was signed is ${said}`,
        { said, found: description[field] },
      );
    }
  }

  const dap = signatureBy(signed, releaseKey, "gp-dap-ecdsa-p256-sha256");
  const statement = signatureBy(signed, releaseKey, "statement-ecdsa-p256-sha256");
  requireSignature(dap, releaseKey, dapBytes(signed));
  // The DAP alone does not cover who signed for which domain and when; a label that differs is nobody's statement.
  requireSignature(statement, releaseKey, statementBytes(signed, dap));
  requireSignature(statement, releaseKey, statementBytes(signed, statement));
  return {
    cap,
    description,
    releaseKey,
    keyLabel: dap.keyLabel,
    signedAt: signed.signedAt,
    dapBlock: {
      securityDomainAid: fromHex(signed.securityDomainAid),
      signature: fromHex(dap.signature),
    },
  };
}

/** The one signature of an algorithm by a key. */
function signatureBy(
  { signatures }: SignedPackage,
  key: Uint8Array,
  algorithm: SignatureAlgorithm,
): PackageSignature {
  const publicKey = toHex(key);
  const found = signatures.filter((each) => each.publicKey === publicKey && each.algorithm === algorithm);
  if (found.length === 1) return found[0]!;
  const words = algorithm.startsWith("gp-dap") ? "DAP" : "statement";
  throw new CodedError(
    "PACKAGE_KEY",
    found.length === 0
      ? `Cannot use package: there is no ${words} signature by the release key`
      : `Cannot use package: there are ${found.length} ${words} signatures by one key`,
    { signers: [...new Set(signatures.map(({ keyLabel }) => keyLabel))] },
  );
}

function requireSignature(
  { algorithm, signature }: PackageSignature,
  key: Uint8Array,
  message: Uint8Array,
): void {
  // Low-S only: a signed file has one spelling.
  if (!p256VerifyRaw(key, message, fromHex(signature), { lowS: true })) {
    throw new CodedError(
      "PACKAGE_SIGNATURE",
      `Cannot use package: its ${algorithm} signature does not verify`,
    );
  }
}
