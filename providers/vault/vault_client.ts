/** The vault as its node sees it: requests over named pipes, each with a number, a deadline and a bound. */

import type { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { FrameWriter, PIPES, readFrames } from "./frames.ts";
import type {
  DescribeAnswer,
  LocateAnswer,
  LocateRequest,
  StepAnswer,
  StepRequest,
  VaultPort,
  VaultRequest,
} from "./protocol.ts";
import "../provider_errors.ts";

/** Requests in work at most. */
export const IN_FLIGHT_MAX = 128;

/** A vault that does not open its pipes so fast is not there, in milliseconds. */
const CONNECT_MS = 2_000;

/** A frame that comes back. */
interface Reply {
  readonly id: string;
  readonly answer?: unknown;
  /** Code of a fault. */
  readonly code?: string;
}

interface Connection {
  readonly writer: FrameWriter;
  close(): void;
}

/** How a node reaches its vault. */
export interface VaultClientOptions {
  /** Folder of the pipes. */
  readonly pipes: string;
  /** For each request, in milliseconds. */
  readonly deadlineMs: number;
}

/** The client. It connects when it is needed, and again when the vault was started again. */
export class VaultClient implements VaultPort {
  readonly #options: VaultClientOptions;
  readonly #waiting = new Map<string, (reply: Reply | undefined) => void>();
  #connecting: Promise<Connection> | undefined;
  #closed = false;

  constructor(options: VaultClientOptions) {
    this.#options = options;
  }

  async locate(about: z.infer<typeof LocateRequest>["about"]): Promise<LocateAnswer> {
    return await this.#ask({ operation: "locate", about }) as LocateAnswer;
  }

  async step(request: Omit<StepRequest, "operation">): Promise<StepAnswer> {
    return await this.#ask({ operation: "step", ...request }) as StepAnswer;
  }

  async describe(): Promise<DescribeAnswer> {
    return await this.#ask({ operation: "describe" }) as DescribeAnswer;
  }

  /** Refuses further requests. */
  close(): void {
    this.#closed = true;
    this.#connecting?.then((connection) => connection.close(), () => {});
    this.#drop();
  }

  async #ask(request: VaultRequest): Promise<unknown> {
    if (this.#closed || this.#waiting.size >= IN_FLIGHT_MAX) throw gone("it is busy, or was closed");
    const id = crypto.randomUUID();
    const { promise, resolve } = Promise.withResolvers<Reply | undefined>();
    this.#waiting.set(id, resolve);
    let timer = setTimeout(() => resolve(undefined), CONNECT_MS);
    try {
      this.#connecting ??= this.#connect();
      this.#connecting.then(async (connection) => {
        if (!this.#waiting.has(id)) return; // its caller was told that there is no vault
        clearTimeout(timer);
        timer = setTimeout(() => resolve(undefined), this.#options.deadlineMs);
        await connection.writer.write({ id, request });
      }).catch(() => resolve(undefined));
      const reply = await promise;
      if (reply === undefined) throw gone("no answer");
      if (reply.code !== undefined) throw new CodedError(reply.code, "Cannot take step: the vault failed");
      return reply.answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Opening a pipe waits for the other side: requests first here and there, or each would wait for the other. */
  async #connect(): Promise<Connection> {
    const { pipes } = this.#options;
    const requests = await Deno.open(`${pipes}/${PIPES.requests}`, { write: true });
    const answers = await Deno.open(`${pipes}/${PIPES.answers}`, { read: true });
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
      for await (const frame of readFrames(answers)) {
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
  return new CodedError("PROVIDER_VAULT", `Cannot reach vault: ${why}`);
}
