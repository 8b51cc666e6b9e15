/** Exports of batches that never were, signed by keys of the test, for what reads them. */

import { toHex, toUtf8 } from "shared/base/bytes.ts";
import type { Secret } from "shared/base/secret.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Sign } from "shared/crypto/p256.ts";
import { leafHash, treeRoot } from "shared/log/merkle.ts";
import { jwsKeyOfPoint, type JwsPublicKey, signJws } from "shared/protocol/wire/jws.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import {
  CARD_RECORD_TYPE,
  type CardRecord,
  cardRecordJson,
  serialText,
} from "factory/domain/batch_record/card_record.ts";
import { CSV_HEADER, csvLine } from "factory/domain/batch_record/csv.ts";
import { type BatchManifest, MANIFEST_TYPE, manifestJson } from "factory/domain/batch_record/manifest.ts";

/** First serial of the batches. */
export const FIRST_SERIAL = 0x7f000010;

/** A record key of a test. */
export interface TestRecordKey {
  readonly privateKey: Secret;
  readonly publicKey: JwsPublicKey;
}

/** Draws a record key. */
export async function makeRecordKey(): Promise<TestRecordKey> {
  const privateKey = generateP256PrivateKey(SYSTEM_RANDOM);
  return { privateKey, publicKey: await jwsKeyOfPoint(p256PublicKeyOf(privateKey)) };
}

/** Signs as the HSM does. */
export function signRecord(
  key: TestRecordKey,
  typ: string,
  payload: Parameters<typeof signJws>[0],
): Promise<string> {
  const sign = (message: Uint8Array) => Promise.resolve(p256Sign(key.privateKey, message));
  return signJws(payload, typ, key.publicKey.thumbprint, sign);
}

/** The record of the card at `index`: every fourth is scrapped, every seventh missing. */
export function cardRecord(index: number, change: Partial<CardRecord> = {}): CardRecord {
  const outcome = index % 7 === 6 ? "missing" : index % 4 === 3 ? "scrapped" : "good";
  const reasons = { good: null, scrapped: "CARD_MUTE", missing: "not found after two counts" };
  const hash = (byte: number) => toHex(new Uint8Array(32).fill(byte));
  return {
    version: 1,
    batch: "spring-1",
    profile: { name: "test-card", sha256: hash(0xab) },
    serial: serialText(FIRST_SERIAL + index),
    outcome,
    reason: reasons[outcome],
    chip: {
      cplc: "47".repeat(42),
      keyDiversificationData: toHex(Uint8Array.of(...toUtf8("diversify"), index & 0xff)),
    },
    certificateSha256: hash(index & 0xff),
    certificateRevoked: outcome !== "good",
    supersededCertificates: index % 5 === 0 ? [hash(0x11), hash(0x22)] : [],
    packageSha256: null,
    station: "line-1",
    reader: 'Reader, "left"',
    operator: "=SUM(A1:A9)\nada",
    apdus: 61,
    reservedAt: "2030-01-01T00:00:00.000Z",
    startedAt: outcome === "missing" ? null : "2030-01-01T00:00:00.000Z",
    finishedAt: outcome === "missing" ? null : "2030-01-01T00:00:04.250Z",
    closedAt: "2030-01-01T00:00:04.300Z",
    ...change,
  };
}

/** A batch with its signed parts. */
export interface TestExport {
  readonly records: readonly CardRecord[];
  readonly jws: readonly string[];
  readonly manifest: BatchManifest;
  readonly manifestJws: string;
}

/** Signs a batch of `cards` records and some serials that are left over. */
export async function makeExport(
  key: TestRecordKey,
  cards: number,
  change: (manifest: BatchManifest) => BatchManifest = (manifest) => manifest,
): Promise<TestExport> {
  const records = Array.from({ length: cards }, (_, index) => cardRecord(index));
  const jws = await Promise.all(
    records.map((record) => signRecord(key, CARD_RECORD_TYPE, cardRecordJson(record))),
  );
  const count = (outcome: CardRecord["outcome"]) =>
    records.filter((record) => record.outcome === outcome).length;
  const quantity = cards + 3;
  const last = serialText(FIRST_SERIAL + quantity - 1);
  const manifest = change({
    version: 1,
    batch: "spring-1",
    profile: cardRecord(0).profile,
    quantity,
    firstSerial: serialText(FIRST_SERIAL),
    lastSerial: last,
    totals: { reserved: cards, good: count("good"), scrapped: count("scrapped"), missing: count("missing") },
    unused: { firstSerial: serialText(FIRST_SERIAL + cards), lastSerial: last, cards: 3 },
    tree: { size: cards, rootSha256: toHex(treeRoot(jws.map((each) => leafHash(toUtf8(each))))) },
    issuerPublicKey: "04" + "00".repeat(64),
    closedAt: "2030-01-02T00:00:00.000Z",
    closedBy: "office",
    reason: "the order is done",
  });
  return {
    records,
    jws,
    manifest,
    manifestJws: await signRecord(key, MANIFEST_TYPE, manifestJson(manifest)),
  };
}

/** JSON lines of records and a manifest. */
export function jsonLines(records: readonly string[], manifest: string): string {
  return [...records.map((record) => ({ record })), { manifest }].map((line) => JSON.stringify(line) + "\n")
    .join("");
}

/** A table of the batch. */
export function table({ records, jws }: Pick<TestExport, "records" | "jws">): string {
  return CSV_HEADER + records.map((record, i) => csvLine(record, jws[i]!)).join("");
}
