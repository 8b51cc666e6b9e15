/** A log in memory, for tests: it can sign whatever it likes, also what an honest log would not. */

import { toUtf8 } from "../../../base/bytes.ts";
import { formatCheckpoint } from "../../checkpoint.ts";
import { consistencyProof, leafHash, treeRoot } from "../../merkle.ts";
import { signNote } from "../../note.ts";
import { checkpointSigner, type TestKey } from "../../testing/signers.ts";
import type { CheckpointToCosign } from "../cosign_client.ts";
import { formatAddCheckpoint } from "../request.ts";

/** A log with its key. */
export class TestLog {
  readonly origin: string;
  readonly key: TestKey;
  readonly entries: Uint8Array[];

  /** @param story what the entries hold: two logs of one name and two stories are a fork. @param seed of the key. */
  constructor(origin: string, size: number, story = "entry", seed = 1, commonSize = 0) {
    this.origin = origin;
    this.key = checkpointSigner(origin, seed);
    this.entries = Array.from({ length: size }, (_, i) => toUtf8(`${i < commonSize ? "entry" : story} ${i}`));
  }

  /** Leaf hashes of the first entries. */
  leaves(size: number): Uint8Array[] {
    return this.entries.slice(0, size).map(leafHash);
  }

  /** Root at a size. */
  root(size: number): Uint8Array {
    return treeRoot(this.leaves(size));
  }

  /** Text of the checkpoint of a size. */
  text(size: number): string {
    return formatCheckpoint({ origin: this.origin, size, root: this.root(size), extensions: [] });
  }

  /** Signed checkpoint of a size. */
  note(size: number): Promise<Uint8Array> {
    return signNote(this.text(size), [this.key.signer]);
  }

  /** Proof between two sizes. */
  proof(old: number, size: number): Uint8Array[] {
    return consistencyProof(old, this.leaves(size));
  }

  /** Body of an honest request. */
  async request(old: number, size: number, proof = this.proof(old, size)): Promise<Uint8Array> {
    return formatAddCheckpoint(old, proof, await this.note(size));
  }

  /** A checkpoint for the client. */
  async toCosign(size: number): Promise<CheckpointToCosign> {
    return {
      size,
      text: this.text(size),
      note: await this.note(size),
      consistencyProof: (from) => Promise.resolve(this.proof(from, size)),
    };
  }
}
