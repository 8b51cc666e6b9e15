/** The reader of one client connection: syntax first, then the rules of a head, before the runtime's parser has the bytes. */

import type { RefusalReason } from "../domain/refusals.ts";
import { readStrictly, type RequestBounds, type StrictRequest } from "../domain/request_rules.ts";
import {
  type HeadDecision,
  type RawHead,
  type ReadingFault,
  RequestReader,
} from "../protocol/request_reader.ts";
import type { ByteReader } from "../transport/strict_tap.ts";

/** A method, two spaces and the version beside the target. */
const LINE_REST_BYTES = 48;

/** Reads a connection; `heads` are its requests in order. */
export class ConnectionReader implements ByteReader<StrictRequest> {
  readonly heads: StrictRequest[] = [];
  readonly #reader: RequestReader<RefusalReason>;

  constructor(bounds: RequestBounds & { readonly maxHeaderBytes: number }) {
    this.#reader = new RequestReader(
      { maxHeadBytes: bounds.maxHeaderBytes, maxLineBytes: bounds.maxTargetLength + LINE_REST_BYTES },
      (head) => this.#take(head, bounds),
    );
  }

  /** True after a message that says that it is the last one. */
  get isOver(): boolean {
    return this.#reader.isOver;
  }

  /** Bytes of the last chunk that belong to messages. */
  get usedBytes(): number {
    return this.#reader.usedBytes;
  }

  /** True when every message that began has ended. */
  get isBetween(): boolean {
    return this.#reader.isBetween;
  }

  /** Reads the next bytes. */
  push(chunk: Uint8Array): ReadingFault<RefusalReason> | undefined {
    return this.#reader.push(chunk);
  }

  #take(head: RawHead, bounds: RequestBounds): HeadDecision<RefusalReason> {
    const read = readStrictly(head, bounds);
    if (read.kind === "refuse") return read;
    this.heads.push(read);
    return { kind: "take", body: read.hasBody ? read.declaredLength ?? "chunked" : 0 };
  }
}
