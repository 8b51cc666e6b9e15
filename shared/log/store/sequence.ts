/**
 * The sequence of a log: where entries wait, get their index and stay. The order that is written here is the log's; tiles and
 * checkpoints are made from it and can be made again. Adapters: postgres_sequence.ts, sqlite_sequence.ts.
 */

import { CodedError, defineErrors } from "../../base/errors.ts";

/** Longest entry in bytes: a bundle has 16-bit lengths (C2SP tlog-tiles). */
export const ENTRY_BYTES_MAX = 0xffff;
/** Entries that one call gives indices at most. */
export const SEQUENCE_BATCH_MAX = 8192;

/** Refuses what no bundle can hold. @throws {CodedError} `LOG_ENTRY_LENGTH`. */
export function requireEntryLength(entry: Uint8Array): void {
  if (entry.length < 1 || entry.length > ENTRY_BYTES_MAX) {
    throw new CodedError(
      "LOG_ENTRY_LENGTH",
      `Cannot log entry: ${entry.length} bytes, not 1 to ${ENTRY_BYTES_MAX}`,
    );
  }
}

/** Number of an entry from when it waits: it says nothing of the index, which comes later. Never given twice. */
export type Receipt = bigint;

/** Who leads, and under which number: both change at each change of leader, and both are checked at each write. */
export interface Fence {
  /** One more than that of the leader before. */
  readonly epoch: bigint;
  /** Drawn at random for each leadership: a database that was rolled back may give an epoch twice. */
  readonly holder: string;
}

/** What the sequence says of its log. */
export interface SequenceHead {
  readonly origin: string;
  /** Entries that have an index. */
  readonly size: number;
  /** Root (32) of the tree of that size. */
  readonly root: Uint8Array;
  /** Size of the last checkpoint that was signed. */
  readonly signedSize: number;
  /** The last signed checkpoint, a note; undefined before the first. */
  readonly checkpoint?: Uint8Array;
  readonly epoch: bigint;
  readonly holder: string;
  /** The greatest number given to an entry, as the database remembers it. */
  readonly lastReceipt: Receipt;
}

/** What one call of {@link Sequence.integrate} did. */
export interface Integrated {
  readonly size: number;
  /** In order, the first at index `size - entries.length`. */
  readonly entries: readonly Uint8Array[];
  readonly receipts: readonly Receipt[];
  readonly lastReceipt: Receipt;
}

/** Entries that one look asks for at most. */
export const FIND_MAX = 1000;

/** Index of each entry; undefined while it waits. One that is not in the map was never kept. */
export type Found = ReadonlyMap<Receipt, number | undefined>;

/** Port to a sequence. All writes are durable when they resolve. */
export interface Sequence {
  /** Lets entries wait: all or none. @throws {CodedError} `LOG_ENTRY_LENGTH`; those of the storage: then none is promised. */
  append(entries: readonly Uint8Array[]): Promise<readonly Receipt[]>;
  /** @throws {CodedError} `LOG_ORIGIN` when the tables are another log's. */
  head(): Promise<SequenceHead>;
  /**
   * Becomes the leader when nobody is, or the leader's lease has run out.
   * @returns the head with the new fence, or how long the present leader still has.
   */
  lead(holder: string, leaseMs: number): Promise<SequenceHead | { readonly leaseLeftMs: number }>;
  /** Gives the lease back at once. The fence stays: writes under it are refused when another one leads. */
  resign(fence: Fence): Promise<void>;
  /**
   * Gives indices to waiting entries in one transaction that also checks the fence and renews the lease.
   * @param size what the leader believes the size to be.
   * @param limit 1 to {@link SEQUENCE_BATCH_MAX}.
   * @param rootOf root (32) of the tree with these entries behind its `size` first; called inside the transaction, maybe twice.
   * @throws {CodedError} `LOG_FENCED`, `LOG_ROLLED_BACK`: nothing was changed.
   */
  integrate(
    fence: Fence,
    size: number,
    limit: number,
    leaseMs: number,
    rootOf: (entries: readonly Uint8Array[]) => Uint8Array,
  ): Promise<Integrated>;
  /**
   * Whether {@link integrate} has something to do: entries wait, the lease must be renewed, or the head is not what the leader
   * believes. A cheap look that writes nothing.
   */
  isDue(fence: Fence, size: number, leaseMs: number): Promise<boolean>;
  /**
   * Keeps a signed checkpoint, before anybody sees it.
   * @throws {CodedError} `LOG_FENCED`, `LOG_ROLLED_BACK`: it must not be shown.
   */
  sign(fence: Fence, size: number, checkpoint: Uint8Array): Promise<void>;
  /** Entries with an index from `start` to before `end`. */
  entries(start: number, end: number): Promise<readonly Uint8Array[]>;
  /** Where entries are, up to {@link FIND_MAX} of them. */
  find(receipts: readonly Receipt[]): Promise<Found>;
  close(): Promise<void>;
}

defineErrors({
  LOG_ENTRY_LENGTH: {
    fault: "bug",
    retry: false,
    http: 500,
    next: "An entry has 1 to 65,535 bytes: put large content into an attachment.",
  },
  LOG_ORIGIN: {
    fault: "configuration",
    retry: false,
    next: "These tables or files belong to another log: name its origin, or take an empty place.",
  },
  LOG_RECEIPT: {
    fault: "service",
    retry: false,
    next:
      "The database forgot an entry that it had taken: it was rolled back. Stop, and look at the evidence.",
  },
  LOG_FENCED: {
    fault: "service",
    retry: false,
    http: 503,
    next: "Another instance leads this log now: this one has stopped writing; start it again to stand by.",
  },
  LOG_ROLLED_BACK: {
    fault: "service",
    retry: false,
    http: 503,
    next:
      "The database is older than what the log has published. Do not go on: restore the newest database, or close this log and open one of another origin; keep the evidence file.",
  },
});
