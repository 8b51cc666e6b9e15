/**
 * The only code of this process that has the record key sign. It takes checked fields, never bytes to sign: the record of a
 * card and the manifest of a batch are all that it can make, and each names its kind.
 */

import { toUtf8 } from "shared/base/bytes.ts";
import { leafHash } from "shared/log/merkle.ts";
import { jwsKeyOfPoint, type JwsPublicKey, signJws } from "shared/protocol/wire/jws.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import "shared/transport/hsm.ts";
import { CARD_RECORD_TYPE, CardRecord, cardRecordJson } from "../../domain/batch_record/card_record.ts";
import { BatchManifest, MANIFEST_TYPE, manifestJson } from "../../domain/batch_record/manifest.ts";

/** A signed record and its leaf. */
export interface SignedRecord {
  /** Compact JWS. */
  readonly jws: string;
  /** Hash of its leaf in the batch's tree, 32 bytes. */
  readonly leaf: Uint8Array;
}

/** Signs records. */
export interface RecordSigner {
  /** The record key's public half. @throws {CodedError} `JWS_KEY` unless it is on P-256; those of the HSM. */
  publicKey(): Promise<JwsPublicKey>;
  /** The record of a card. */
  card(record: CardRecord): Promise<SignedRecord>;
  /** The manifest of a batch, compact JWS. */
  manifest(manifest: BatchManifest): Promise<string>;
}

/** A signer with the record key of this label. */
export function recordSigner(hsm: Pick<Hsm, "sign" | "publicKey">, label: string): RecordSigner {
  let known: JwsPublicKey | undefined;
  const publicKey = async () => known ??= await jwsKeyOfPoint(await hsm.publicKey(label));
  const sign = (message: Uint8Array) => hsm.sign(label, message);
  return {
    publicKey,
    async card(record) {
      // What the schema refuses would be refused by every verifier: better not signed.
      const json = cardRecordJson(CardRecord.parse(record));
      const jws = await signJws(json, CARD_RECORD_TYPE, (await publicKey()).thumbprint, sign);
      return { jws, leaf: leafHash(toUtf8(jws)) };
    },
    async manifest(manifest) {
      const json = manifestJson(BatchManifest.parse(manifest));
      return await signJws(json, MANIFEST_TYPE, (await publicKey()).thumbprint, sign);
    },
  };
}
