/** JSON objects, one a line, over a connection; lines and waiting are bounded. */

import { fromUtf8, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import "./wallet_errors.ts";

/** One message. */
export type JsonMessage = Readonly<Record<string, unknown>>;

/** What the service needs of a connection. */
export interface LineConnection {
  /** The next message; undefined when the other side has closed. @throws {CodedError} `WALLET_USAGE`. */
  next(waitMs?: number): Promise<JsonMessage | undefined>;
  send(message: JsonMessage): Promise<void>;
  close(): void;
}

/** Longest line, in bytes. */
export const JSON_LINE_MAX_BYTES = 4096;
/** Longest silence of the other side: then the connection ends and the wallet locks. */
export const SILENCE_MAX_MS = 300_000;

const NEWLINE = 0x0a;

/** The connection of a socket. */
export class JsonLines implements LineConnection {
  readonly #connection: Deno.Conn;
  readonly #buffer = new Uint8Array(JSON_LINE_MAX_BYTES);
  #length = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  async next(waitMs: number = SILENCE_MAX_MS): Promise<JsonMessage | undefined> {
    const timer = setTimeout(() => this.close(), waitMs);
    try {
      for (;;) {
        const end = this.#buffer.subarray(0, this.#length).indexOf(NEWLINE);
        if (end >= 0) return this.#take(end);
        if (this.#length === this.#buffer.length) {
          throw new CodedError(
            "WALLET_USAGE",
            `Cannot read request: a line over ${JSON_LINE_MAX_BYTES} bytes`,
          );
        }
        const read = await this.#connection.read(this.#buffer.subarray(this.#length));
        if (read === null) return undefined;
        this.#length += read;
      }
    } catch (error) {
      if (error instanceof CodedError) throw error;
      return undefined; // The connection broke: as good as closed.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whole lines, in the order of the calls. */
  send(message: JsonMessage): Promise<void> {
    return this.#sending = this.#sending.then(() => this.#write(message));
  }

  async #write(message: JsonMessage): Promise<void> {
    const bytes = toUtf8(JSON.stringify(message) + "\n");
    try {
      for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
    } catch {
      // Whoever asked is gone: the next read says so.
    }
  }

  close(): void {
    this.#buffer.fill(0);
    try {
      this.#connection.close();
    } catch {
      // Closed already.
    }
  }

  #take(end: number): JsonMessage {
    let value: unknown;
    try {
      value = JSON.parse(fromUtf8(this.#buffer.subarray(0, end)));
    } catch {
      value = undefined; // The parser's message can quote a secret.
    }
    this.#buffer.copyWithin(0, end + 1, this.#length);
    this.#buffer.fill(0, this.#length - end - 1, this.#length);
    this.#length -= end + 1;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new CodedError("WALLET_USAGE", "Cannot read request: a line that is no JSON object");
    }
    return value as JsonMessage;
  }
}
