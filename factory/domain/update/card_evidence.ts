/** Whether a card has proven itself to the service: its certificate, the list of revoked ones, and its signature. Pure. */

import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import {
  type CardCertificate,
  parseCardCertificate,
  verifyCardCertificate,
} from "shared/protocol/recovery_key/certificate.ts";
import { verifyCardEphemeral } from "shared/protocol/recovery_key/host_certificate.ts";
import {
  mayUseList,
  readRevocationList,
  type RevocationList,
} from "shared/protocol/recovery_key/revocation_list.ts";
import type { CardEvidence } from "shared/protocol/wire/update.ts";
import "shared/protocol/wire/update_errors.ts";

/** A card that proved itself. */
export interface ProvenCard {
  /** 4 bytes, hex. */
  readonly serial: string;
  /** SHA-256 of its certificate, hex. */
  readonly certificateSha256: string;
}

/**
 * Checks what a card said over a challenge of ours.
 * @param hostChallenge 8 bytes, from this service.
 * @param issuers public keys (65) of those who certify cards.
 * @throws {CodedError} `UPDATE_CARD_CERTIFICATE`, `UPDATE_CARD_REVOKED`, `UPDATE_CARD_SIGNATURE`.
 */
export function proveCard(
  evidence: CardEvidence,
  hostChallenge: Uint8Array,
  issuers: readonly Uint8Array[],
  revoked: RevocationList["revoked"],
): ProvenCard {
  const bytes = fromHex(evidence.certificate);
  const certificate = read(bytes);
  if (!issuers.some((issuer) => verifyCardCertificate(certificate, issuer))) {
    throw new CodedError("UPDATE_CARD_CERTIFICATE", "Cannot update card: no issuer of ours certified it");
  }
  const certificateSha256 = toHex(sha256(bytes));
  const entry = revoked.find((each) => each.certificateSha256 === certificateSha256);
  if (entry !== undefined) {
    throw new CodedError("UPDATE_CARD_REVOKED", "Cannot update card: its certificate was revoked", {
      reason: entry.reason,
    });
  }
  const signed = verifyCardEphemeral(
    {
      cardChallenge: fromHex(evidence.cardChallenge),
      ephemeral: fromHex(evidence.ephemeralKey),
      signature: fromHex(evidence.signature),
    },
    certificate.publicKey,
    hostChallenge,
  );
  if (!signed) {
    throw new CodedError("UPDATE_CARD_SIGNATURE", "Cannot update card: it did not sign this challenge");
  }
  return { serial: toHex(certificate.serial), certificateSha256 };
}

function read(bytes: Uint8Array): CardCertificate {
  try {
    return parseCardCertificate(bytes, { strict: true });
  } catch (error) {
    throw new CodedError(
      "UPDATE_CARD_CERTIFICATE",
      "Cannot update card: its certificate breaks the rules",
      {},
      error,
    );
  }
}

/**
 * Reads the list of revoked certificates; the issuer signs it, so it needs no trust on its way.
 * @param nowSeconds seconds since 1970. @param newest number of the newest list that was used.
 * @throws {CodedError} `UPDATE_REVOCATIONS` when none of the issuers signed it, or it is too old.
 */
export function readFreshList(
  text: string,
  issuers: readonly Uint8Array[],
  nowSeconds: number,
  newest: number,
): RevocationList {
  for (const issuer of issuers) {
    try {
      const list = readRevocationList(text, issuer);
      const decision = mayUseList(list, nowSeconds, newest);
      if (decision.kind === "accept") return list;
      throw new CodedError("UPDATE_REVOCATIONS", "Cannot use list of revoked cards: it is not the newest", {
        why: decision.code,
      });
    } catch (error) {
      if (error instanceof CodedError && error.code === "REVOCATION_LIST_SIGNATURE") continue;
      if (error instanceof CodedError && error.code === "UPDATE_REVOCATIONS") throw error;
      throw new CodedError(
        "UPDATE_REVOCATIONS",
        "Cannot use list of revoked cards: it is malformed",
        {},
        error,
      );
    }
  }
  throw new CodedError("UPDATE_REVOCATIONS", "Cannot use list of revoked cards: no issuer signed it");
}
