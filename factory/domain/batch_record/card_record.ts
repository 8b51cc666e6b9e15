/** The record of a card that has ended: what is signed, and stays for good. */

import { z } from "zod";
import type { Json } from "shared/base/canonical_json.ts";
import { BatchName, Chip, hexBytes, StationName } from "shared/protocol/wire/attestation.ts";

/** `typ` of a card record's JWS. */
export const CARD_RECORD_TYPE = "recovery-key-card-record";
/** Version of the fields below. */
export const CARD_RECORD_VERSION = 1;

/** The profile that a card was made by. */
export const ProfileFacts = z.strictObject({ name: z.string(), sha256: hexBytes(32) });

/** What a card record says. Byte strings are upper-case hex, times ISO 8601 in UTC. */
export const CardRecord = z.strictObject({
  version: z.literal(CARD_RECORD_VERSION),
  batch: BatchName,
  profile: ProfileFacts,
  serial: hexBytes(4),
  outcome: z.enum(["good", "scrapped", "missing"]),
  /** Why it was scrapped, or is missing; null for a good card. */
  reason: z.string().nullable(),
  chip: Chip,
  /** SHA-256 of the last certificate that was issued for the card; null when none was. */
  certificateSha256: hexBytes(32).nullable(),
  /** True when that certificate is revoked: always, unless the card is good. */
  certificateRevoked: z.boolean(),
  /** SHA-256 of earlier certificates, each superseded and revoked; in the order of their issue. */
  supersededCertificates: z.array(hexBytes(32)),
  /** SHA-256 of the package that was loaded, where one was. */
  packageSha256: hexBytes(32).nullable(),
  station: StationName,
  /** Where the station told it. */
  reader: z.string().nullable(),
  /** Who worked at the station; for a missing card, who declared it missing. */
  operator: z.string(),
  /** APDUs over all presentations; 0 for a missing card. */
  apdus: z.int().min(0),
  reservedAt: z.iso.datetime(),
  /** The station's own times; null for a missing card. */
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  /** When the service closed the record. */
  closedAt: z.iso.datetime(),
});
/** What a card record says. */
export type CardRecord = z.infer<typeof CardRecord>;

/** A record as JSON: every member of it is. */
export function cardRecordJson(record: CardRecord): Json {
  return record as Json;
}

/** Where a batch's serials begin and end, and which are used. */
export function serialText(serial: number): string {
  return serial.toString(16).toUpperCase().padStart(8, "0");
}
