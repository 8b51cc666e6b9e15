/** The entries of a provider's log, as its database has them. */

import type { EventName } from "shared/log/events.ts";
import { type Leaf, parseLeaf } from "shared/log/leaf.ts";
import type { Database } from "shared/transport/postgres/database.ts";

/** Entries in the order in which they were written; of one event, or all. */
export async function entered(
  { database }: { readonly database: Database },
  event?: EventName,
): Promise<Leaf[]> {
  const rows = await database.sql<{ entry: Uint8Array }[]>`
    SELECT entry, receipt FROM log_pending UNION ALL SELECT entry, receipt FROM log_entries ORDER BY receipt`;
  const leaves = rows.map(({ entry }) => parseLeaf(entry));
  return event === undefined ? leaves : leaves.filter((leaf) => leaf.event === event);
}
