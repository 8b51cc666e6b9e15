/**
 * Connects a log's sequencer with its witnesses: `onPublished` and `witnessedSize` are the sequencer's hooks. Each checkpoint is
 * offered to the witnesses and shown again with their cosignatures; no append waits for that.
 */

import { CodedError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { formatCheckpoint, parseCheckpoint } from "../checkpoint.ts";
import { emptyRoot } from "../merkle.ts";
import { formatNote, type NoteSigner, parseNote, signNote } from "../note.ts";
import { TileTree } from "../proof_from_tiles.ts";
import { type TileStore } from "../store/tile_store.ts";
import { tilePath } from "../tile.ts";
import { type CollectedCosignatures, type CollectorOptions, CosignatureCollector } from "./collector.ts";
import type { CheckpointToCosign, CosignClient } from "./cosign_client.ts";

/** What the connection is made of. */
export interface WitnessedPublicationOptions extends CollectorOptions {
  readonly origin: string;
  readonly tiles: TileStore;
  readonly signers: readonly NoteSigner[];
  readonly clients: readonly CosignClient[];
  /** Whether the log may begin to lead when fewer than the quorum of witnesses say how far they are. Default `true`. */
  readonly leadUnwitnessed?: boolean;
  readonly logger: Logger;
  /** Called at the end: closes the clients' connections. */
  readonly close?: () => void;
}

/** A log's side of all its witnesses. */
export class WitnessedPublication {
  readonly #options: WitnessedPublicationOptions;
  readonly #collector: CosignatureCollector;

  /** @throws {CodedError} `WITNESS_POLICY`. */
  constructor(options: WitnessedPublicationOptions) {
    this.#options = options;
    this.#collector = new CosignatureCollector(
      options.clients,
      options,
      options.logger,
      (collected) => this.#show(collected),
    );
  }

  /** Hook of the sequencer: offers a checkpoint and returns at once. */
  readonly onPublished = (checkpoint: Uint8Array): void => {
    this.#collector.offer(checkpointToCosign(checkpoint, this.#options.tiles));
  };

  /**
   * Hook of the sequencer: the greatest size that a witness has cosigned. They are asked with a checkpoint of no entries, which
   * every history begins with.
   * @throws {CodedError} `WITNESS_QUORUM` when too few answer and the log may not lead without them.
   */
  readonly witnessedSize = async (): Promise<number> => {
    const { origin, signers, clients, logger, quorum, leadUnwitnessed = true } = this.#options;
    if (clients.length === 0) return 0;
    const text = formatCheckpoint({ origin, size: 0, root: emptyRoot(), extensions: [] });
    const note = await signNote(text, signers);
    const sizes: number[] = [];
    await Promise.all(clients.map(async (client) => {
      try {
        sizes.push(await client.cosignedSize(note));
      } catch (error) {
        logger.warning("witness.size-unknown", { witness: client.name, error });
      }
    }));
    if (!leadUnwitnessed && sizes.length < quorum) {
      throw new CodedError("WITNESS_QUORUM", `Cannot lead: ${sizes.length} of ${quorum} witnesses answer`);
    }
    return Math.max(0, ...sizes);
  };

  /** Waits until the policy is fulfilled for a checkpoint, for logs that must not go on without. @throws {CodedError} `WITNESS_QUORUM`. */
  async require(checkpoint: Uint8Array): Promise<void> {
    await this.#show(await this.#collector.require(checkpointToCosign(checkpoint, this.#options.tiles)));
  }

  /** Resolves when nothing that was offered is left to be done. */
  async idle(): Promise<void> {
    await this.#collector.idle();
  }

  /** Gives up what is left. */
  async stop(): Promise<void> {
    await this.#collector.stop();
    this.#options.close?.();
  }

  async #show({ checkpoint, cosignatures }: CollectedCosignatures): Promise<void> {
    const { text, signatures } = parseNote(checkpoint.note);
    const note = formatNote({ text, signatures: [...signatures, ...cosignatures.map(({ line }) => line)] });
    // A larger one that is shown meanwhile stays: its own cosignatures are on their way.
    await this.#options.tiles.publish(note, (bytes) => parseCheckpoint(parseNote(bytes).text).size);
  }
}

/** A published checkpoint, with proofs from the log's own tiles. */
export function checkpointToCosign(note: Uint8Array, tiles: TileStore): CheckpointToCosign {
  const { text } = parseNote(note);
  const { size, root } = parseCheckpoint(text);
  const tree = new TileTree(size, root, async (tile) => {
    const bytes = await tiles.read(tilePath(tile));
    // What is missing is as wrong as what is changed: the tree says so.
    return bytes ?? new Uint8Array();
  });
  return { size, text, note, consistencyProof: (from) => tree.consistencyProof(from) };
}
