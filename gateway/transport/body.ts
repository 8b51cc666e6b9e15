/** Message bodies read whole, up to a bound. */

/** A message as it arrives, as far as its body counts: the runtime's, or our own. */
export interface BodyMessage {
  /** The whole message has arrived. */
  readonly complete: boolean;
  on(event: "data", listener: (part: Uint8Array) => void): unknown;
  on(event: "end" | "close" | "aborted" | "error", listener: () => void): unknown;
  off(event: "data", listener: (part: Uint8Array) => void): unknown;
  off(event: "end" | "close" | "aborted" | "error", listener: () => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** What became of reading a body. */
export type BodyResult =
  | { readonly kind: "body"; readonly bytes: Uint8Array }
  | { readonly kind: "too-large" }
  | { readonly kind: "incomplete" };

/** Reads a body of at most `maxBytes`. After `too-large` the rest is left unread. */
export function readBody(message: BodyMessage, maxBytes: number): Promise<BodyResult> {
  return new Promise((resolve) => {
    const parts: Uint8Array[] = [];
    let length = 0;
    const done = (result: BodyResult) => {
      message.off("data", onData);
      message.off("end", onEnd);
      message.off("error", onLost);
      message.off("aborted", onLost);
      message.off("close", onLost);
      // The parser may still report a broken body; nobody else listens any more.
      message.on("error", () => {});
      resolve(result);
    };
    const onData = (part: Uint8Array) => {
      length += part.length;
      if (length > maxBytes) {
        message.pause();
        return done({ kind: "too-large" });
      }
      parts.push(part);
    };
    const onEnd = () => {
      if (!message.complete) return done({ kind: "incomplete" });
      const bytes = new Uint8Array(length);
      let offset = 0;
      for (const part of parts) {
        bytes.set(part, offset);
        offset += part.length;
      }
      done({ kind: "body", bytes });
    };
    const onLost = () => done({ kind: "incomplete" });
    message.on("data", onData);
    message.on("end", onEnd);
    message.on("error", onLost);
    message.on("aborted", onLost);
    message.on("close", onLost);
    message.resume();
  });
}
