/**
 * Signs a package with the release key in the HSM. The only code that has that key sign: it takes a CAP file, never bytes
 * to sign, and makes a DAP and a statement of it.
 */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { isP256PublicKey, p256DerToRaw } from "shared/crypto/p256.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { dapBytes, type SignedPackage, statementBytes } from "shared/protocol/signed_package/document.ts";
import { packageStatement } from "shared/protocol/signed_package/statement.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import "shared/transport/hsm.ts";

/** What to sign, and with what. */
export interface SignPackage {
  readonly hsm: Pick<Hsm, "publicKey" | "sign">;
  readonly keyLabel: string;
  /** Bytes of the CAP file. */
  readonly cap: Uint8Array;
  /** Domain that verifies the DAP on the card. */
  readonly securityDomainAid: Uint8Array;
  readonly clock: Pick<Clock, "now">;
}

/**
 * Signs, and verifies as a station will before anything is given back.
 * @throws {CodedError} those of a strict `readCap`, `HSM_KEY_MISSING` (also when the key is not on P-256), those of the
 *   HSM, `GP_AID`.
 */
export async function signPackage(options: SignPackage): Promise<SignedPackage> {
  const { hsm, keyLabel } = options;
  // Strict: what a card may read in another way than we do is not released.
  const cap = readCap(options.cap, { strict: true });
  const key = await hsm.publicKey(keyLabel);
  if (!isP256PublicKey(key)) {
    throw new CodedError("HSM_KEY_MISSING", `Cannot sign package: key ${keyLabel} is not on P-256`, {
      keyLabel,
    });
  }
  const statement = packageStatement(cap, options.securityDomainAid, options.clock.now());
  const signer = { keyLabel, publicKey: toHex(key) };
  const raw = async (message: Uint8Array) => toHex(p256DerToRaw(await hsm.sign(keyLabel, message)));
  const signed: SignedPackage = {
    ...statement,
    signatures: [
      { ...signer, algorithm: "gp-dap-ecdsa-p256-sha256", signature: await raw(dapBytes(statement)) },
      {
        ...signer,
        algorithm: "statement-ecdsa-p256-sha256",
        signature: await raw(statementBytes(statement, signer)),
      },
    ],
  };
  verifySignedPackage(signed, cap, fromHex(signer.publicKey));
  return signed;
}
