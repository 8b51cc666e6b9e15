/** Chunked bodies (RFC 9112, 7.1), taken apart as they arrive; sizes, extensions and trailers are bounded. */

/** Longest line of a chunk's size with its extension, bytes; trailers altogether may have as much. */
const MAX_LINE = 4_096;
const SIZE = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

/** What a piece of input was. */
export type Piece =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** The body is whole; `rest` came after it and does not belong to it. */
  | { readonly kind: "end"; readonly rest: number }
  | { readonly kind: "fault" };

/** Takes one chunked body apart. */
export class ChunkedReader {
  #state: "size" | "data" | "data-end" | "trailer" = "size";
  #left = 0;
  #line = "";
  #trailers = 0;

  /** Gives the pieces of the next input; nothing follows `end` and `fault`. */
  *read(input: Uint8Array): Generator<Piece> {
    let at = 0;
    while (at < input.length) {
      if (this.#state === "data") {
        const take = Math.min(this.#left, input.length - at);
        yield { kind: "data", bytes: input.subarray(at, at + take) };
        at += take;
        this.#left -= take;
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      const end = input.indexOf(0x0a, at);
      const part = input.subarray(at, end < 0 ? input.length : end + 1);
      at += part.length;
      this.#line += String.fromCharCode(...part.subarray(0, MAX_LINE + 1));
      if (this.#line.length > MAX_LINE) return yield { kind: "fault" };
      if (end < 0) return;
      const line = this.#line;
      this.#line = "";
      if (!line.endsWith("\r\n")) return yield { kind: "fault" };
      if (!this.#take(line.slice(0, -2))) return yield { kind: "fault" };
      if (this.#state === "trailer" && line === "\r\n" && this.#trailers > 0) {
        return yield { kind: "end", rest: input.length - at };
      }
    }
  }

  #take(line: string): boolean {
    switch (this.#state) {
      case "data-end":
        this.#state = "size";
        return line === "";
      case "trailer":
        this.#trailers += line.length + 1;
        return this.#trailers <= MAX_LINE;
      default: {
        const size = SIZE.exec(line)?.[1];
        if (size === undefined) return false;
        this.#left = parseInt(size, 16);
        this.#state = this.#left === 0 ? "trailer" : "data";
        return true;
      }
    }
  }
}
