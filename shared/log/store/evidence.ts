/** Records of what was found wrong under a log, for whoever looks into it: both sides, as they were. */

import { fromUtf8 } from "../../base/bytes.ts";
import type { CodedError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Sequence } from "./sequence.ts";
import type { TileStore } from "./tile_store.ts";

/** What a record is made from. */
export interface EvidenceSources {
  readonly origin: string;
  readonly sequence: Sequence;
  readonly tiles: TileStore;
  readonly logger: Logger;
}

/**
 * Keeps a record beside the log: the code, the head of the database and the checkpoint that readers see.
 * @param signedHere size of the last checkpoint that this process published.
 * @returns where it is, or undefined when it could not be kept: the log of the process says why.
 */
export async function keepEvidence(
  failure: CodedError,
  { origin, sequence, tiles, logger }: EvidenceSources,
  signedHere: number,
): Promise<string | undefined> {
  try {
    // What is damaged may not be readable: the rest is kept all the same.
    const head = await sequence.head().catch(() => undefined);
    const shown = await tiles.checkpoint().catch(() => undefined);
    const record = {
      origin,
      code: failure.code,
      message: failure.message,
      details: failure.details,
      lastSizeSignedHere: signedHere,
      database: head && {
        size: head.size,
        root: head.root.toBase64(),
        signedSize: head.signedSize,
        epoch: head.epoch,
        checkpoint: head.checkpoint && fromUtf8(head.checkpoint),
      },
      published: shown && fromUtf8(shown),
    };
    const text = JSON.stringify(record, (_, value) => typeof value === "bigint" ? `${value}` : value, 2);
    return await tiles.keepEvidence(`${failure.code}-${crypto.randomUUID()}.json`, `${text}\n`);
  } catch (error) {
    logger.error("log.evidence", { error });
    return undefined;
  }
}
