/** One client of the embedded database, from its startup packet to its end. */

import { concat } from "shared/base/bytes.ts";
import { codeOf } from "shared/base/errors.ts";
import {
  fatal,
  type Frame,
  FrameReader,
  lastStatus,
  message,
  prefixStatements,
  sqlOf,
  STARTUP,
  zeroEnded,
} from "./framing.ts";
import type { SharedBackend } from "./shared_backend.ts";

/** A client has this long for its startup packet, in milliseconds. */
export const STARTUP_LIMIT_MS = 10_000;
/** A client may keep the backend this long without sending anything, in milliseconds: all others wait for it. */
export const IDLE_IN_TRANSACTION_LIMIT_MS = 30_000;
/** Prepared statements of one connection. */
export const STATEMENT_LIMIT = 1_000;
/** Requests for TLS or GSS before the startup packet. */
const NEGOTIATION_LIMIT = 4;
/** COPY FROM STDIN would need frames while a statement runs; the backend ends itself when they do not come. */
const COPY_IN = /\bcopy\b[\s\S]*\bfrom\s+stdin\b/i;

/** Ends an unfinished batch with an error: a sync alone would commit what it did so far. */
const ABORT_BATCH = concat(
  message("P", zeroEnded(""), zeroEnded("abandoned"), Uint8Array.of(0, 0)),
  message("S"),
);

/** The duplex stream of a client. */
export type ClientStream = Pick<Deno.Conn, "read" | "write" | "close">;

/** What connections share. */
export interface ConnectionContext {
  readonly backend: SharedBackend;
  /** Answer to a startup packet, as the backend gave it once. */
  readonly welcome: Uint8Array;
  readonly idleLimitMs?: number;
}

let connections = 0;

/** Serves a client until it leaves, breaks the protocol, or keeps the backend idle for too long. Never throws. */
export async function serveConnection(stream: ClientStream, context: ConnectionContext): Promise<void> {
  const client = new Client(stream, context);
  try {
    if (await client.startup()) await client.serve();
  } catch (error) {
    await client.refuse(codeOf(error));
  } finally {
    await client.leave();
  }
}

class Client {
  readonly #stream: ClientStream;
  readonly #context: ConnectionContext;
  readonly #reader = new FrameReader();
  readonly #chunk = new Uint8Array(65_536);
  readonly #prefix = `c${++connections}_`;
  readonly #statements = new Set<string>();
  #holds = false;
  #status: "I" | "T" | "E" = "I";
  /** Frames of an unfinished batch were given to the backend: it waits for a sync. */
  #unfinished = false;
  #closed = false;

  constructor(stream: ClientStream, context: ConnectionContext) {
    this.#stream = stream;
    this.#context = context;
  }

  /** Answers the startup packet; false when the client leaves or only wanted to cancel something. */
  async startup(): Promise<boolean> {
    for (let round = 0; round <= NEGOTIATION_LIMIT;) {
      const code = this.#reader.startup();
      if (code === undefined) {
        if (!await this.#receive(STARTUP_LIMIT_MS)) return false;
        continue;
      }
      round++;
      if (code === STARTUP.TLS || code === STARTUP.GSS) {
        await this.#send(new TextEncoder().encode("N"));
      } else if (code === STARTUP.PROTOCOL_3_0) {
        await this.#send(this.#context.welcome);
        return true;
      } else if (code === STARTUP.CANCEL) {
        return false; // there is no second backend that could interrupt the first
      } else {
        await this.#send(fatal("0A000", "protocol version 3.0 only"));
        return false;
      }
    }
    return false;
  }

  async serve(): Promise<void> {
    for (;;) {
      const frames = this.#reader.frames();
      const end = frames.findIndex((frame) => frame.type === "X");
      const batch = end < 0 ? frames : frames.slice(0, end);
      if (batch.length > 0 && !await this.#run(batch)) return;
      if (end >= 0) return;
      const limit = this.#holds ? this.#context.idleLimitMs ?? IDLE_IN_TRANSACTION_LIMIT_MS : undefined;
      if (!await this.#receive(limit)) return;
    }
  }

  async #run(batch: Frame[]): Promise<boolean> {
    if (batch.some((frame) => COPY_IN.test(sqlOf(frame) ?? ""))) {
      await this.#send(fatal("0A000", "COPY FROM STDIN is not supported by the embedded database"));
      return false;
    }
    const own = batch.map((frame) => prefixStatements(frame, this.#prefix, this.#statements).bytes);
    if (this.#statements.size > STATEMENT_LIMIT) {
      await this.#send(fatal("54000", "too many prepared statements"));
      return false;
    }
    if (!this.#holds) {
      await this.#context.backend.borrow();
      this.#holds = true;
    }
    const last = batch.at(-1)!.type;
    this.#unfinished = last !== "S" && last !== "Q";
    const answer = await this.#context.backend.run(concat(...own));
    this.#status = lastStatus(answer) ?? this.#status;
    if (!this.#unfinished && this.#status === "I") this.#giveBack();
    await this.#send(answer); // after giving back: a slow reader keeps nobody waiting
    return true;
  }

  /** Says why the connection ends, when the client is to blame. */
  async refuse(code: string): Promise<void> {
    if (code === "PGLITE_PROTOCOL") await this.#send(fatal("08P01", "malformed message")).catch(() => {});
  }

  /** Undoes what the client left unfinished and forgets its statements, so that the next one finds nothing of it. */
  async leave(): Promise<void> {
    this.#close();
    const { backend } = this.#context;
    try {
      if (!this.#holds && this.#statements.size === 0) return;
      if (!this.#holds) {
        await backend.borrow();
        this.#holds = true;
      }
      if (this.#unfinished) this.#status = lastStatus(await backend.run(ABORT_BATCH)) ?? this.#status;
      if (this.#status !== "I") await backend.run(message("Q", zeroEnded("rollback")));
      const closes = [...this.#statements].map((name) => message("C", zeroEnded(`S${name}`)));
      if (closes.length > 0) await backend.run(concat(...closes, message("S")));
    } catch {
      // The backend is dead: the process ends.
    } finally {
      if (this.#holds) this.#giveBack();
    }
  }

  #giveBack(): void {
    this.#holds = false;
    this.#context.backend.giveBack();
  }

  /** Reads more; false at the end of the stream or of the time. */
  async #receive(limitMs?: number): Promise<boolean> {
    let late = false;
    const timer = limitMs === undefined ? undefined : setTimeout(() => {
      late = true;
      void this.#send(fatal("25P03", "the client kept the database waiting")).catch(() => {}).then(() =>
        this.#close()
      );
    }, limitMs);
    try {
      const length = await this.#stream.read(this.#chunk);
      if (length === null || late) return false;
      this.#reader.push(this.#chunk.subarray(0, length));
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      offset += await this.#stream.write(bytes.subarray(offset));
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#stream.close();
    } catch {
      // The other side closed it.
    }
  }
}
