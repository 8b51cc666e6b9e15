/**
 * Bodies of requests. Short ones are read whole first: they can be sent to a second instance. Long ones pass through as fast as
 * the instance takes them, and never lie in memory as a whole.
 */

import { Buffer } from "node:buffer";
import { type BodyMessage, readBody } from "./body.ts";
import type { UpstreamConnection } from "./upstream/connection.ts";

/** Bodies up to this are read whole, bytes. */
export const WHOLE_REQUEST_BYTES = 65_536;

/** A body: none, whole, or streaming. */
export type RequestBody = Uint8Array | StreamedBody | undefined;

/** Why a streaming body could not be sent: the client's doing. */
export type BodyFault = "BODY_TOO_LARGE" | "BODY_INCOMPLETE";

/** What became of taking a body. */
export type TakenBody =
  | { readonly kind: "body"; readonly body: Uint8Array | StreamedBody }
  | { readonly kind: "too-large" }
  | { readonly kind: "incomplete" };

/**
 * Takes a body.
 * @param declaredLength As Content-Length says; undefined when it is chunked.
 * @param whole It is needed in one piece, whatever its length (a schema is checked).
 */
export async function takeBody(
  message: BodyMessage,
  { declaredLength, maxBytes, whole }: {
    readonly declaredLength: number | undefined;
    readonly maxBytes: number;
    readonly whole: boolean;
  },
): Promise<TakenBody> {
  if (declaredLength !== undefined && declaredLength > maxBytes) return { kind: "too-large" };
  const small = Math.max(declaredLength ?? maxBytes, 0) <= WHOLE_REQUEST_BYTES;
  if (!whole && !small) return { kind: "body", body: new StreamedBody(message, declaredLength, maxBytes) };
  const read = await readBody(message, maxBytes);
  return read.kind === "body" ? { kind: "body", body: read.bytes } : read;
}

/** A body on its way. It can be sent once. */
export class StreamedBody {
  /** Set when the client broke off or sent too much. */
  fault: BodyFault | undefined;
  /** Whether it was begun: then no other instance can get it. */
  begun = false;
  /** The instance does not take more for now. */
  #isHeld = false;
  #stop: () => void = () => {};

  /** @param length Declared length; undefined: chunked towards the instance too. */
  constructor(
    readonly message: BodyMessage,
    readonly length: number | undefined,
    readonly maxBytes: number,
  ) {}

  /** Whether more of it is awaited from the client: not from an instance that takes it slowly. */
  get awaitsClient(): boolean {
    return this.begun && !this.message.complete && !this.#isHeld;
  }

  /** Sends it on a connection; an incomplete body ends the connection, so that it is never taken for whole. */
  pump(connection: UpstreamConnection): void {
    this.begun = true;
    const { message } = this;
    let bytes = 0;
    const fail = (fault: BodyFault) => {
      this.fault = fault;
      this.#stop();
      connection.cut(fault);
    };
    const onData = (part: Uint8Array) => {
      bytes += part.length;
      if (bytes > this.maxBytes) return fail("BODY_TOO_LARGE");
      if (connection.write(this.length === undefined ? chunk(part) : part)) return;
      this.#isHeld = true;
      message.pause();
      connection.drained(() => {
        this.#isHeld = false;
        message.resume();
      });
    };
    const onEnd = () => {
      if (!message.complete) return fail("BODY_INCOMPLETE");
      this.#stop();
      if (this.length === undefined) connection.write(LAST_CHUNK);
      connection.written();
    };
    const onLost = () => fail("BODY_INCOMPLETE");
    this.#stop = () => {
      message.off("data", onData);
      message.off("end", onEnd);
      message.off("close", onLost);
      message.on("error", () => {});
      message.pause();
      this.#stop = () => {};
    };
    message.on("data", onData);
    message.on("end", onEnd);
    message.on("close", onLost);
    message.resume();
  }

  /** The answer is there, or the instance is gone: the rest of the body is not wanted. */
  stop(): void {
    this.#stop();
  }
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

function chunk(part: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
}
