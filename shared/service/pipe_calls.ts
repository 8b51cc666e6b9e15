/**
 * Calls between two processes of which one has no network: requests and answers as frames over two named pipes, length (4 bytes) ||
 * JSON. A pipe that ends in the middle of a frame is opened again from the start, so that a killed process never shifts the
 * frames of the next one.
 */

import { concat, fromUtf8, readUint, toUtf8, writeUint } from "shared/base/bytes.ts";
import { CodedError, codeOf, defineErrors } from "shared/base/errors.ts";

/** Names of the pipes in their folder. */
export const CALL_PIPES = { requests: "requests", answers: "answers" } as const;
/** Longest frame, in bytes, unless less is agreed. */
export const CALL_FRAME_MAX = 16 * 1024 * 1024;
/** Calls in work at most. */
export const CALLS_MAX = 128;

const LENGTH_BYTES = 4;
const CHUNK = 65_536;
/** Who does not open its pipes so fast is not there, in milliseconds. */
const CONNECT_MS = 2_000;

async function* readFrames(file: Deno.FsFile, frameMax: number): AsyncGenerator<unknown> {
  const chunk = new Uint8Array(CHUNK);
  const parts: Uint8Array[] = [];
  let have = 0;
  let need = LENGTH_BYTES;
  for (;;) {
    const read = await file.read(chunk);
    if (read === null) return;
    parts.push(chunk.slice(0, read));
    have += read;
    if (have < need) continue;
    let pending = concat(...parts);
    for (;;) {
      if (pending.length < LENGTH_BYTES) {
        need = LENGTH_BYTES;
        break;
      }
      const length = readUint(pending.subarray(0, LENGTH_BYTES));
      if (length > frameMax) throw new CodedError("CALL_FRAME", `Cannot read frame: ${length} bytes`);
      need = LENGTH_BYTES + length;
      if (pending.length < need) break;
      yield parse(pending.subarray(LENGTH_BYTES, need));
      pending = pending.slice(need);
    }
    parts.splice(0, parts.length, pending);
    have = pending.length;
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    // What the parser says could repeat what is inside.
    throw new CodedError("CALL_FRAME", "Cannot read frame: it is no JSON");
  }
}

/** Writes whole frames, one after the other. */
class FrameWriter {
  readonly #file: Deno.FsFile;
  #last: Promise<void> = Promise.resolve();

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  write(value: unknown): Promise<void> {
    const text = toUtf8(JSON.stringify(value));
    const bytes = concat(writeUint(text.length, LENGTH_BYTES), text);
    const written = this.#last.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    });
    this.#last = written.catch(() => {});
    return written;
  }
}

/** What a call came to. */
type Reply =
  | { readonly id: string; readonly answer: unknown }
  | { readonly id: string; readonly code: string; readonly message: string };

/** How calls are served. */
export interface ServeOptions {
  /** Told of faults that are none of ours. */
  readonly onFault: (error: unknown) => void;
  /** Told when a caller comes and goes. */
  readonly onCaller?: (state: "connected" | "left") => void;
  /** Longest frame, in bytes. Default {@link CALL_FRAME_MAX}. */
  readonly frameMax?: number;
}

/**
 * Serves calls, one caller after the other, for as long as the process runs.
 * @param perform does what is asked; it checks its argument. A `CodedError`'s code and message go to the caller.
 */
export async function serveCalls(
  pipes: string,
  perform: (request: unknown) => Promise<unknown>,
  { onFault, onCaller, frameMax = CALL_FRAME_MAX }: ServeOptions,
): Promise<never> {
  for (;;) {
    const requests = await Deno.open(`${pipes}/${CALL_PIPES.requests}`, { read: true });
    const answers = await Deno.open(`${pipes}/${CALL_PIPES.answers}`, { write: true });
    onCaller?.("connected");
    const writer = new FrameWriter(answers);
    const working = new Set<Promise<void>>();
    try {
      for await (const frame of readFrames(requests, frameMax)) {
        const { id, request } = frame as { id?: unknown; request?: unknown };
        if (typeof id !== "string") continue;
        const work = (async () => {
          let reply: Reply;
          try {
            reply = { id, answer: await perform(request) };
          } catch (error) {
            if (!(error instanceof CodedError)) onFault(error);
            const message = error instanceof CodedError ? error.message : "the other process failed";
            reply = { id, code: codeOf(error), message };
          }
          // The caller may be gone; then nobody waits for this.
          await writer.write(reply).catch(() => {});
        })().finally(() => working.delete(work));
        working.add(work);
      }
    } catch (error) {
      onFault(error);
    }
    await Promise.all(working);
    onCaller?.("left");
    requests.close();
    answers.close();
  }
}

interface Connection {
  readonly writer: FrameWriter;
  close(): void;
}

/** The caller's end. It connects when it is needed, and again when the other process was started again. */
export class PipeCaller {
  readonly #pipes: string;
  readonly #deadlineMs: number;
  readonly #frameMax: number;
  readonly #waiting = new Map<string, (reply: Reply | undefined) => void>();
  #connecting: Promise<Connection> | undefined;
  #closed = false;

  /** @param pipes folder of the pipes. @param deadlineMs for each call. @param frameMax longest answer, in bytes. */
  constructor(pipes: string, deadlineMs: number, frameMax = CALL_FRAME_MAX) {
    this.#pipes = pipes;
    this.#deadlineMs = deadlineMs;
    this.#frameMax = frameMax;
  }

  /** One call. @throws {CodedError} `CALL_GONE`, and the other process's code. */
  async call(request: unknown): Promise<unknown> {
    if (this.#closed || this.#waiting.size >= CALLS_MAX) throw gone("it is busy, or was closed");
    const id = crypto.randomUUID();
    const { promise, resolve } = Promise.withResolvers<Reply | undefined>();
    this.#waiting.set(id, resolve);
    let timer = setTimeout(() => resolve(undefined), CONNECT_MS);
    try {
      this.#connecting ??= this.#connect();
      this.#connecting.then(async (connection) => {
        if (!this.#waiting.has(id)) return; // its caller was told that nobody is there
        clearTimeout(timer);
        timer = setTimeout(() => resolve(undefined), this.#deadlineMs);
        await connection.writer.write({ id, request });
      }).catch(() => resolve(undefined));
      const reply = await promise;
      if (reply === undefined) throw gone("no answer");
      if ("code" in reply) throw new CodedError(reply.code, reply.message);
      return reply.answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Refuses further calls. */
  close(): void {
    this.#closed = true;
    this.#connecting?.then((connection) => connection.close(), () => {});
    this.#drop();
  }

  /** Opening a pipe waits for the other side: requests first here and there, or each would wait for the other. */
  async #connect(): Promise<Connection> {
    const requests = await Deno.open(`${this.#pipes}/${CALL_PIPES.requests}`, { write: true });
    const answers = await Deno.open(`${this.#pipes}/${CALL_PIPES.answers}`, { read: true });
    const connection = {
      writer: new FrameWriter(requests),
      close: () => {
        requests.close();
        answers.close();
      },
    };
    this.#read(answers).then(() => {
      if (!this.#closed) connection.close();
      this.#drop();
    });
    return connection;
  }

  async #read(answers: Deno.FsFile): Promise<void> {
    try {
      for await (const frame of readFrames(answers, this.#frameMax)) {
        const reply = frame as Reply;
        this.#waiting.get(reply.id)?.(reply);
      }
    } catch {
      // The pipe is gone, or what came makes no sense: it is opened again.
    }
  }

  #drop(): void {
    this.#connecting = undefined;
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }
}

function gone(why: string): CodedError {
  return new CodedError("CALL_GONE", `Cannot reach the process behind the pipes: ${why}`);
}

defineErrors({
  CALL_FRAME: {
    fault: "service",
    retry: true,
    http: 503,
    next: "The two processes are of one release? Start both again.",
  },
  CALL_GONE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "Start the process without network (the vault) again.",
  },
});
