/** A card that ended, from what the database has of it. */

import type { JudgedRow } from "../../transport/issuance_store/batch_rows.ts";
import { chipTraits } from "./chip_traits.ts";
import type { JudgedCard } from "./judgement.ts";

/** The judged card of a row. */
export function judgedCard(row: JudgedRow): JudgedCard {
  const { outcome, reason, reader, station, package_sha256, cplc } = row;
  return {
    outcome,
    traits: {
      ...(reason === null ? {} : { reason }),
      // A reader's name says something together with its station only.
      ...(reader === null ? {} : { reader: `${station}: ${reader}` }),
      station,
      ...(package_sha256 === null ? {} : { package: package_sha256 }),
      ...chipTraits(cplc),
    },
  };
}
