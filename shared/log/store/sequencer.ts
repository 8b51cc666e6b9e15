/**
 * The one writer of a log: gives waiting entries their index, writes tiles, signs and publishes checkpoints. Any number of
 * instances may run; one leads, the others stand by. Order of effects: index (database, fenced), tiles (synced), signature,
 * checkpoint into the database (fenced), checkpoint shown.
 */

import { CodedError, codeOf } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { formatCheckpoint, parseCheckpoint } from "../checkpoint.ts";
import { type NoteSigner, type NoteVerifier, parseNote, signNote } from "../note.ts";
import { keepEvidence } from "./evidence.ts";
import { EntryTimes, type TimeBack } from "./entry_times.ts";
import { readOwnCheckpoint, recover } from "./recovery.ts";
import { type Fence, type Sequence, SEQUENCE_BATCH_MAX, type SequenceHead } from "./sequence.ts";
import type { TileStore } from "./tile_store.ts";
import type { TileFile, TreeEdge } from "./tree_edge.ts";

/** Time after which another instance may lead, unless told otherwise, in milliseconds. */
export const DEFAULT_LEASE_MS = 10_000;
/** Pause between two looks when nothing waits, unless told otherwise, in milliseconds. */
export const DEFAULT_IDLE_MS = 100;
/** Longest pause after a failure that may pass, in milliseconds. */
const RETRY_MAX_MS = 5_000;
const RETRY_FIRST_MS = 100;

/** Steps of the writer, as its observer sees them. */
export type SequencerPoint = "leading" | "integrated" | "tiles-durable" | "signed" | "kept" | "published";

/** What a sequencer needs. */
export interface SequencerOptions {
  readonly origin: string;
  readonly sequence: Sequence;
  readonly tiles: TileStore;
  /** Keys that sign checkpoints: the log's own; during a change of keys two. */
  readonly signers: readonly NoteSigner[];
  /** Keys that may have signed the checkpoints that are there. */
  readonly verifiers: readonly NoteVerifier[];
  readonly logger: Logger;
  /** The greatest size that a witness has cosigned; asked before this instance leads. */
  readonly witnessedSize?: () => Promise<number>;
  readonly leaseMs?: number;
  readonly idleMs?: number;
  /** Pause behind each checkpoint in milliseconds: entries that come meanwhile share the next one. None otherwise. */
  readonly restMs?: number;
  /** Entries of one checkpoint at most. */
  readonly batchMax?: number;
  /** Time of an entry in milliseconds since 1970, to notice a clock that was set back; undefined when it has none. */
  readonly timeOf?: (entry: Uint8Array) => number | undefined;
  /** Called when it was: the entries stay as they are. It may add an entry that says so. */
  readonly onTimeBack?: (back: TimeBack) => void;
  /** Called behind each step, for tests that end the process there. */
  readonly onStep?: (point: SequencerPoint) => void;
  /** Called with each checkpoint that readers can see: whom to send it to is the caller's matter. */
  readonly onPublished?: (checkpoint: Uint8Array, size: number) => void;
}

/** Where a sequencer stands. */
export type SequencerState = "standing by" | "leading" | "stopped" | "failed";

/** A state in which a leader goes on. */
interface Leadership {
  readonly fence: Fence;
  edge: TreeEdge;
  signedSize: number;
  lastReceipt: bigint;
  readonly times: EntryTimes;
}

/** Runs in the background from `start` to `stop`. */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #leaseMs: number;
  #state: SequencerState = "standing by";
  #failure: CodedError | undefined;
  #signedSize = 0;
  #running: Promise<void> | undefined;
  #stopping = false;
  #wake: (() => void) | undefined;
  #woken = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
  }

  /** Where it stands. */
  get state(): SequencerState {
    return this.#state;
  }

  /** Why it has stopped for good; undefined as long as it has not. */
  get failure(): CodedError | undefined {
    return this.#failure;
  }

  /** Size of the last checkpoint that this instance published. */
  get signedSize(): number {
    return this.#signedSize;
  }

  /** Size of the checkpoint that readers see, whoever published it: 0 before the first. */
  async publishedSize(): Promise<number> {
    const shown = await this.#options.tiles.checkpoint();
    return shown === undefined ? 0 : sizeOf(shown);
  }

  /** Begins. Failures that may pass are tried again; others end it, with {@link failure}. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Says that entries wait, so that they need not wait for the next look. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Resolves at the next checkpoint, failure or stop, or after `limitMs`. */
  async nextChange(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const timer = setTimeout(resolve, limitMs);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }

  /** Ends what runs and gives the leadership back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    await this.#running;
    if (this.#state !== "failed") this.#state = "stopped";
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopping) {
      let fence: Fence | undefined;
      try {
        const head = await this.#takeLead();
        if (head === undefined) continue;
        fence = { epoch: head.epoch, holder: head.holder };
        const led = await this.#begin(head, fence);
        this.#state = "leading";
        while (!this.#stopping) {
          await this.#step(led);
          failures = 0;
        }
        // What was entered until the stop is published with it.
        await this.#step(led);
      } catch (error) {
        if (!await this.#mayPass(await this.#verdict(error, fence))) return;
        failures++;
      } finally {
        if (this.#state === "leading") this.#state = "standing by";
        // A lease that is kept after the end would keep the next instance waiting.
        if (fence !== undefined) await this.#options.sequence.resign(fence).catch(() => {});
      }
      if (failures > 0) await this.#pause(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures));
    }
  }

  /**
   * What a failure means. One that was overtaken compares what it read long ago with what another leader has written since:
   * whatever it found wrong counts only while it leads.
   */
  async #verdict(error: unknown, fence: Fence | undefined): Promise<unknown> {
    if (fence === undefined || error instanceof CodedError && error.row.retry) return error;
    const head = await this.#options.sequence.head().catch(() => undefined);
    if (head === undefined || head.epoch <= fence.epoch) return error;
    return new CodedError(
      "LOG_FENCED",
      `Cannot write log: epoch ${head.epoch} leads, this is ${fence.epoch}`,
      {
        found: codeOf(error),
      },
    );
  }

  /** Whether it makes sense to go on after this failure. */
  async #mayPass(error: unknown): Promise<boolean> {
    const { logger } = this.#options;
    const code = codeOf(error);
    if (code === "LOG_FENCED") {
      logger.warning("log.fenced", { error });
      return true;
    }
    if (error instanceof CodedError && error.row.retry) {
      logger.warning("log.waiting", { error });
      return true;
    }
    const failure = error instanceof CodedError
      ? error
      : new CodedError("INTERNAL", "Cannot go on: the sequencer failed", {}, error);
    const evidence = await keepEvidence(failure, this.#options, this.#signedSize);
    logger.error("log.refused", { error, ...(evidence === undefined ? {} : { evidence }) });
    this.#failure = failure;
    this.#state = "failed";
    this.#tellWaiting();
    return false;
  }

  /** The head under a fence of our own, or undefined behind a pause while another instance leads. */
  async #takeLead(): Promise<SequenceHead | undefined> {
    const head = await this.#options.sequence.lead(crypto.randomUUID(), this.#leaseMs);
    if (!("leaseLeftMs" in head)) return head;
    await this.#pause(Math.min(head.leaseLeftMs, this.#leaseMs));
    return undefined;
  }

  /** Checks everything, and finishes what the leader before has begun. */
  async #begin(head: SequenceHead, fence: Fence): Promise<Leadership> {
    const { sequence, tiles, verifiers, witnessedSize, logger, onStep } = this.#options;
    onStep?.("leading");
    if (head.signedSize < this.#signedSize) {
      throw new CodedError(
        "LOG_ROLLED_BACK",
        `Cannot go on: this instance has signed size ${this.#signedSize}, the database knows ${head.signedSize}`,
      );
    }
    const { edge, unsigned, recent, behind } = await recover(
      head,
      sequence,
      tiles,
      verifiers,
      await witnessedSize?.() ?? 0,
    );
    const times = new EntryTimes(this.#options.timeOf ?? (() => undefined));
    times.next(recent, edge.size - recent.length); // what is wrong among them was told when they came
    const led: Leadership = {
      fence,
      edge,
      signedSize: head.signedSize,
      lastReceipt: head.lastReceipt,
      times,
    };
    if (behind) await this.#show(led, head.checkpoint!);
    if (head.checkpoint === undefined || unsigned.length > 0) {
      const grown = edge.clone();
      this.#lookAtTimes(led, unsigned, edge.size);
      await this.#publish(led, grown, grown.append(unsigned));
    }
    this.#signedSize = led.signedSize;
    logger.info("log.leading", { epoch: fence.epoch, size: led.signedSize, finished: unsigned.length });
    return led;
  }

  async #step(led: Leadership): Promise<void> {
    this.#woken = false;
    let edge = led.edge;
    let full: TileFile[] = [];
    const { sequence, batchMax = SEQUENCE_BATCH_MAX } = this.#options;
    if (!await sequence.isDue(led.fence, led.edge.size, this.#leaseMs)) {
      if (!this.#woken) {
        await this.#pause(Math.min(this.#options.idleMs ?? DEFAULT_IDLE_MS, this.#leaseMs / 3));
      }
      return;
    }
    const done = await sequence.integrate(led.fence, led.edge.size, batchMax, this.#leaseMs, (entries) => {
      edge = led.edge.clone();
      full = edge.append(entries);
      return edge.root();
    });
    if (done.lastReceipt < led.lastReceipt) {
      throw new CodedError(
        "LOG_ROLLED_BACK",
        `Cannot go on: the database gave number ${led.lastReceipt} to an entry and now says ${done.lastReceipt}`,
      );
    }
    led.lastReceipt = done.lastReceipt;
    if (done.entries.length === 0) return;
    this.#options.onStep?.("integrated");
    this.#lookAtTimes(led, done.entries, done.size - done.entries.length);
    await this.#publish(led, edge, full);
    await this.#rest();
  }

  #lookAtTimes(led: Leadership, entries: readonly Uint8Array[], start: number): void {
    for (const back of led.times.next(entries, start)) {
      this.#options.logger.error("log.clock", { ...back });
      this.#options.onTimeBack?.(back);
    }
  }

  async #publish(led: Leadership, edge: TreeEdge, full: readonly TileFile[]): Promise<void> {
    const { origin, sequence, tiles, signers, onStep } = this.#options;
    await tiles.putTiles([...full, ...edge.partial()]);
    onStep?.("tiles-durable");
    const text = formatCheckpoint({ origin, size: edge.size, root: edge.root(), extensions: [] });
    const checkpoint = await signNote(text, signers);
    // What a token gives is read as a stranger would read it, before it counts.
    readOwnCheckpoint(checkpoint, origin, this.#options.verifiers);
    onStep?.("signed");
    await sequence.sign(led.fence, edge.size, checkpoint);
    onStep?.("kept");
    led.edge = edge;
    led.signedSize = edge.size;
    await this.#show(led, checkpoint);
    await tiles.removePartial(full);
  }

  async #show(led: Leadership, checkpoint: Uint8Array): Promise<void> {
    const { tiles, onStep, onPublished } = this.#options;
    if (!await tiles.publish(checkpoint, sizeOf)) {
      throw new CodedError("LOG_ROLLED_BACK", "Cannot publish: a larger checkpoint is published already", {
        size: led.signedSize,
      });
    }
    onStep?.("published");
    this.#signedSize = led.signedSize;
    onPublished?.(checkpoint, led.signedSize);
    this.#tellWaiting();
  }

  #tellWaiting(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** Behind a checkpoint: only a stop ends it early. */
  async #rest(): Promise<void> {
    const { restMs = 0 } = this.#options;
    const limit = Math.min(restMs, this.#leaseMs / 3);
    const until = performance.now() + limit;
    for (let left = limit; left > 0 && !this.#stopping; left = until - performance.now()) {
      await this.#pause(left);
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    if (this.#stopping) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }
}

function sizeOf(checkpoint: Uint8Array): number {
  return parseCheckpoint(parseNote(checkpoint).text).size;
}
