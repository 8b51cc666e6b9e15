/** One card's record with the proof that it was in its batch when that closed: for whoever asks about one card. */

import { z } from "zod";
import { fromHex, toHex, toUtf8 } from "shared/base/bytes.ts";
import { inclusionProof, leafHash, PROOF_HASHES_MAX, verifyInclusion } from "shared/log/merkle.ts";
import { hexBytes } from "shared/protocol/wire/attestation.ts";
import { JWS_MAX, type JwsPublicKey, verifyJws } from "shared/protocol/wire/jws.ts";
import { CARD_RECORD_TYPE, CardRecord } from "./card_record.ts";
import type { Finding, FindingCode } from "./findings.ts";
import type { BatchManifest } from "./manifest.ts";
import { verifyManifest } from "./verifier.ts";

/** A proof as a file. */
export const CardProof = z.strictObject({
  format: z.literal("recovery-key-card-proof"),
  /** The card's record, compact JWS. */
  record: z.string().max(JWS_MAX),
  /** Place of the record in the batch, from 0. */
  index: z.int().min(0),
  /** Audit path, lowest hash first; RFC 6962, 2.1.1. */
  proof: z.array(hexBytes(32)).max(PROOF_HASHES_MAX),
  /** The batch's manifest, compact JWS. */
  manifest: z.string().max(JWS_MAX),
});
/** A proof as a file. */
export type CardProof = z.infer<typeof CardProof>;

/** Proves the record at `index` of a whole batch. @param leaves hashes of all records, in order. */
export function proveCard(
  record: string,
  index: number,
  leaves: readonly Uint8Array[],
  manifest: string,
): CardProof {
  const proof = inclusionProof(index, leaves).map(toHex);
  return { format: "recovery-key-card-proof", record, index, proof, manifest };
}

/** What a proof shows. */
export interface ProofVerdict {
  readonly record: CardRecord | undefined;
  readonly manifest: BatchManifest | undefined;
  readonly findings: readonly Finding[];
}

/** Verifies a proof with the public key alone. */
export async function verifyCardProof(proof: CardProof, key: JwsPublicKey): Promise<ProofVerdict> {
  const finding = (code: FindingCode, text: string): Finding => ({ code, line: null, serial: null, text });
  const { manifest, findings: found } = await verifyManifest(proof.manifest, key, null);
  const findings = [...found];
  const verdict = await verifyJws(proof.record, CARD_RECORD_TYPE, key);
  if (verdict.kind === "bad") {
    findings.push(
      verdict.fault === "other-key"
        ? finding("BATCH_KEY_OTHER", "the record names another key")
        : finding("BATCH_RECORD_SIGNATURE", "the record's signature does not verify: it was changed"),
    );
    return { record: undefined, manifest, findings };
  }
  const record = CardRecord.safeParse(verdict.payload).data;
  if (record === undefined) {
    findings.push(finding("BATCH_RECORD_CONTENT", "the record is none that this version knows"));
  }
  if (manifest !== undefined && record !== undefined) {
    const expected = parseInt(record.serial, 16) - parseInt(manifest.firstSerial, 16);
    const leads = verifyInclusion(
      proof.proof.map((hash) => fromHex(hash)),
      proof.index,
      manifest.tree.size,
      leafHash(toUtf8(proof.record)),
      fromHex(manifest.tree.rootSha256),
    );
    if (record.batch !== manifest.batch) {
      findings.push(finding("BATCH_RECORD_OTHER_BATCH", `it is a record of batch ${record.batch}`));
    } else if (!leads || proof.index !== expected) {
      findings.push(finding("BATCH_PROOF_WRONG", "the record is not in the tree at this place"));
    }
  }
  return { record, manifest, findings };
}
