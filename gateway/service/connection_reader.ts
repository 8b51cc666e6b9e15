/** The reader of one client connection: syntax first, then the rules of a head, before anything else sees the message. */

import type { RefusalReason } from "../domain/refusals.ts";
import { readStrictly, type RequestBounds, type StrictRequest } from "../domain/request_rules.ts";
import {
  type HeadDecision,
  type RawHead,
  type ReadingFault,
  RequestReader,
} from "../protocol/request_reader.ts";
import type { MessageReader, ReadMessage } from "../transport/http1/connection.ts";

/** A method, two spaces and the version beside the target. */
const LINE_REST_BYTES = 48;

/** Reads a connection. */
export class ConnectionReader implements MessageReader<StrictRequest> {
  readonly #reader: RequestReader<RefusalReason>;
  #message: ReadMessage<StrictRequest> | undefined;

  constructor(bounds: RequestBounds & { readonly maxHeaderBytes: number }) {
    this.#reader = new RequestReader(
      { maxHeadBytes: bounds.maxHeaderBytes, maxLineBytes: bounds.maxTargetLength + LINE_REST_BYTES },
      (head) => this.#take(head, bounds),
    );
  }

  /** The message whose head was read last. */
  get message(): ReadMessage<StrictRequest> | undefined {
    return this.#message;
  }

  /** Why the reading ended. */
  get fault(): ReadingFault<RefusalReason> | undefined {
    return this.#reader.fault;
  }

  /** Whether the message that was read last is the connection's last. */
  get isLast(): boolean {
    return this.#reader.isLast;
  }

  /** Whether a body is to come. */
  get inBody(): boolean {
    return this.#reader.inBody;
  }

  /** True when every message that began has ended. */
  get isBetween(): boolean {
    return this.#reader.isBetween;
  }

  /** As `RequestReader.readHead`. */
  readHead(bytes: Uint8Array, from: number): number {
    return this.#reader.readHead(bytes, from);
  }

  /** As `RequestReader.readBody`. */
  readBody(bytes: Uint8Array, from: number, take: (part: Uint8Array) => void): number {
    return this.#reader.readBody(bytes, from, take);
  }

  #take(raw: RawHead, bounds: RequestBounds): HeadDecision<RefusalReason> {
    const head = readStrictly(raw, bounds);
    if (head.kind === "refuse") return head;
    const old = raw.httpVersion === "1.0";
    // The only expectation that was not refused; of HTTP/1.0 it is not taken (RFC 9110, 10.1.1).
    const wantsContinue = !old && head.hasBody && head.headers.some(([name]) => name === "expect");
    this.#message = { head, method: head.method, old, wantsContinue };
    return { kind: "take", body: head.hasBody ? head.declaredLength ?? "chunked" : 0 };
  }
}
