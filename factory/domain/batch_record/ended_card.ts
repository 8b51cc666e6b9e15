/** The record of a card that ended, from what the database has of it. */

import type { EndedCardRow } from "../../transport/issuance_store/batch_rows.ts";
import type { BatchRecord } from "../../transport/issuance_store/records.ts";
import { type CardRecord, serialText } from "./card_record.ts";

/** A card that ended, ready to be signed. */
export interface EndedCard {
  readonly reservation: string;
  readonly serial: number;
  readonly record: CardRecord;
}

/** The record of a row. */
export function endedCard(row: EndedCardRow, batch: BatchRecord): EndedCard {
  const outcome = row.state as CardRecord["outcome"];
  const certificates = row.certificates ?? [];
  const text = (time: Date | null) => time?.toISOString() ?? null;
  return {
    reservation: row.id,
    serial: Number(row.serial),
    record: {
      version: 1,
      batch: batch.name,
      profile: { name: batch.profileName, sha256: batch.profileSha256 },
      serial: serialText(Number(row.serial)),
      outcome,
      reason: outcome === "missing" ? row.lost_reason : row.reason,
      chip: { cplc: row.cplc, keyDiversificationData: row.key_diversification_data },
      certificateSha256: certificates.at(-1) ?? null,
      certificateRevoked: outcome !== "good" && certificates.length > 0,
      supersededCertificates: certificates.slice(0, -1),
      packageSha256: row.package_sha256,
      station: row.closing_station ?? row.station,
      reader: row.reader,
      operator: row.operator ?? row.lost_by ?? "",
      apdus: row.apdus ?? 0,
      reservedAt: row.created_at.toISOString(),
      startedAt: text(row.started_at),
      finishedAt: text(row.finished_at),
      closedAt: (row.recorded_at ?? row.lost_at ?? row.created_at).toISOString(),
    },
  };
}
