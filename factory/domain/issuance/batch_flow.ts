/** The life of a batch, as a table. The database has the same one. */

import { type Flow, flow } from "shared/base/flow.ts";
import type { BatchState } from "../../transport/issuance_store/records.ts";

/** Every state, for tests and reports. */
export const BATCH_STATES: readonly BatchState[] = ["held", "open", "closed"];

/**
 * What can happen to a batch: a batch manager opens and closes it, judgement stops it. A held batch gives out no serials and
 * no card keys; cards that have theirs can be finished.
 */
export const BATCH_EVENTS = ["open", "stop", "close"] as const;
/** One of {@link BATCH_EVENTS}. */
export type BatchEvent = typeof BATCH_EVENTS[number];

/** A closed batch never changes. */
export const BATCH_FLOW: Flow<BatchState, BatchEvent> = flow({
  held: { open: "open", close: "closed" },
  open: { stop: "held", close: "closed" },
  closed: {},
});
