/** Message bodies read whole, up to a bound. They are put together as they come: a list of pieces could take a hundred times their bytes. */

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

/** Room for a body before it is known to be longer, bytes. */
const FIRST_BYTES = 1_024;

/** Reads a body of at most `maxBytes`. After `too-large` the rest is left unread. */
export function readBody(message: BodyMessage, maxBytes: number): Promise<BodyResult> {
  return new Promise((resolve) => {
    let held = new Uint8Array(FIRST_BYTES);
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
      const after = length + part.length;
      if (after > maxBytes) {
        message.pause();
        return done({ kind: "too-large" });
      }
      if (after > held.length) {
        const larger = new Uint8Array(Math.min(maxBytes, Math.max(after, 2 * held.length)));
        larger.set(held.subarray(0, length));
        held = larger;
      }
      held.set(part, length);
      length = after;
    };
    const onEnd = () => {
      if (!message.complete) return done({ kind: "incomplete" });
      done({ kind: "body", bytes: held.slice(0, length) });
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
