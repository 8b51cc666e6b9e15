/**
 * Makes entries of what a process does: identifiers become pseudonyms, the clock and the version are added, and what does not fit
 * the table of events is refused before anything is appended.
 */

import type { Clock } from "../transport/clock.ts";
import type { EventName, Outcome, PseudonymKind } from "./events.ts";
import { encodeLeaf, type Leaf, LEAF_COUNT_MAX, leafTime } from "./leaf.ts";
import type { Pseudonyms } from "./pseudonym.ts";

/** A person, a thing or a process by the name that it has outside of the log. */
export interface Identified {
  readonly kind: PseudonymKind;
  /** 1 to 512 bytes of UTF-8. */
  readonly identifier: string;
}

/** What happened. */
export interface EventFacts {
  readonly actor: Identified;
  readonly subject?: Identified;
  /** Without it: `done`. */
  readonly outcome?: Outcome;
  readonly reason?: string;
  /** `OPS-1234`. */
  readonly ticket?: string;
  /** How many of the same it stands for; without it, and for 1, one. */
  readonly count?: number;
  /** Commitment of an attachment (32 bytes), see attachment.ts. */
  readonly attachment?: Uint8Array;
}

/** Where a recorder gets what it adds. */
export interface RecorderOptions<Receipt> {
  readonly pseudonyms: Pseudonyms;
  /** Version of this program: `1.2.3` or `1.2.3+<commit>`. */
  readonly software: string;
  readonly clock: Clock;
  /** Appends an entry durably. When it fails, the effect that the entry tells of must not happen. */
  readonly append: (entry: Uint8Array) => Promise<Receipt>;
}

/** Writes the entries of one process. */
export class EventRecorder<Receipt> {
  readonly #options: RecorderOptions<Receipt>;

  constructor(options: RecorderOptions<Receipt>) {
    this.#options = options;
  }

  /**
   * The bytes of an entry, for a caller that adds them to a transaction of its own.
   * @throws {CodedError} `LEAF_SCHEMA`, `LEAF_EVENT`, `PSEUDONYM_IDENTIFIER`; those of the token that keeps the pseudonym key.
   */
  async entry(event: EventName, facts: EventFacts): Promise<Uint8Array> {
    const { pseudonyms, software, clock } = this.#options;
    const { actor, subject, outcome, reason, ticket, count = 1, attachment } = facts;
    const leaf: Leaf = {
      time: leafTime(clock.now()),
      event,
      actor: await pseudonyms.of(actor.kind, actor.identifier),
      ...(subject === undefined ? {} : { subject: await pseudonyms.of(subject.kind, subject.identifier) }),
      ...(ticket === undefined ? {} : { ticket }),
      outcome: outcome ?? "done",
      ...(reason === undefined ? {} : { reason }),
      ...(count > 1 ? { count: Math.min(count, LEAF_COUNT_MAX) } : {}),
      software,
      ...(attachment === undefined ? {} : { attachment: attachment.toBase64() }),
    };
    return encodeLeaf(leaf);
  }

  /** Appends an entry; it is durable when this resolves. @throws {CodedError} as {@link entry}; those of the storage. */
  async record(event: EventName, facts: EventFacts): Promise<Receipt> {
    return await this.#options.append(await this.entry(event, facts));
  }
}
