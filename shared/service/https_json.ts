/**
 * JSON over HTTPS with a client certificate, to one of several equal servers: whoever is gone, or says 502, 503 or 504, costs one
 * more attempt at the next one. Only for requests that may be repeated. Answers are checked with a schema; problems (RFC 9457)
 * become errors with the sender's own code and advice.
 */

import type { z } from "zod";
import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Problem } from "shared/protocol/wire/problem.ts";
import { type HttpAnswer, HttpsExchange, StaleConnection } from "shared/transport/https_exchange.ts";

/** Attempts for one request, over all servers. */
export const ATTEMPTS_MAX = 6;
/** Wait after every server failed, doubled each round, in milliseconds. */
export const BACKOFF_MS = 100;
/** Longest Retry-After that is obeyed, in seconds. */
export const RETRY_AFTER_MAX_SECONDS = 5;
const RETRIABLE_STATUS: readonly number[] = [429, 502, 503, 504];

/** How to reach the servers. */
export interface JsonOverHttpsOptions {
  /** Base addresses, `https://host:port/prefix`; the first one that works is kept. */
  readonly servers: readonly string[];
  /** PEM texts: authorities of the servers' certificates, our certificate and its key. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  /** What it is, for messages: "the orchestrator". */
  readonly what: string;
  /** Told of every failed attempt that leads to another server. */
  readonly onFailover?: (event: { server: string; reason: string }) => void;
}

/** One request. */
export interface JsonRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** After the server's prefix. */
  readonly path: string;
  readonly body?: unknown;
  /** With it, a gateway may repeat a POST as well. */
  readonly idempotencyKey?: string;
}

/** The client; see the module's comment. */
export class JsonOverHttps {
  readonly #options: JsonOverHttpsOptions;
  readonly #servers: readonly URL[];
  readonly #https: HttpsExchange;
  #current = 0;

  /** Nothing is connected until the first request. @throws {CodedError} `HTTPS_CONFIGURATION`. */
  constructor(options: JsonOverHttpsOptions) {
    this.#options = options;
    this.#servers = options.servers.map((address) => {
      const url = URL.canParse(address) ? new URL(address) : undefined;
      if (url?.protocol !== "https:") throw this.#unusable(`${address} is no https address`);
      return url;
    });
    if (this.#servers.length === 0) throw this.#unusable("no address is given");
    this.#https = new HttpsExchange(options.tls);
  }

  /**
   * Sends a request until it is answered.
   * @throws {CodedError} `HTTPS_UNREACHABLE`, `HTTPS_ANSWER`; the sender's code, with `status` and `fromService` in the details.
   */
  async call<T>(request: JsonRequest, schema: z.ZodType<T>): Promise<T> {
    let last: CodedError | undefined;
    let staleSpent = false;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const index = this.#current % this.#servers.length;
      const server = this.#servers[index]!;
      let answer: HttpAnswer;
      try {
        answer = await this.#send(server, request);
      } catch (error) {
        if (error instanceof StaleConnection && !staleSpent) {
          // The server closed an idle connection as we took it: it is not gone, a new connection tells.
          staleSpent = true;
          attempt--;
          continue;
        }
        const { what } = this.#options;
        const reason = (error as Error).message;
        last = new CodedError("HTTPS_UNREACHABLE", `Cannot reach ${what} at ${server.host}: ${reason}`, {
          server: server.host,
        });
        await this.#moveFrom(index, reason, attempt, 0);
        continue;
      }
      if (answer.status >= 200 && answer.status < 300) return this.#read(answer, schema);
      const problem = this.#problem(answer);
      if (!RETRIABLE_STATUS.includes(answer.status)) throw problem;
      last = problem;
      const asked = Number(answer.retryAfter);
      const waitMs = asked > 0 ? 1000 * Math.min(asked, RETRY_AFTER_MAX_SECONDS) : 0;
      await this.#moveFrom(index, `${answer.status} ${problem.code}`, attempt, waitMs);
    }
    throw last!;
  }

  /** Closes the connections. */
  close(): void {
    this.#https.close();
  }

  #send(server: URL, { method, path, body, idempotencyKey }: JsonRequest): Promise<HttpAnswer> {
    return this.#https.send(server, {
      method,
      path: server.pathname.replace(/\/$/, "") + path,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      },
      ...(body === undefined ? {} : { body: toUtf8(JSON.stringify(body)) }),
    });
  }

  /** Leaves a server that failed, unless another request has left it already; waits when a whole round has failed. */
  async #moveFrom(index: number, reason: string, attempt: number, waitMs: number): Promise<void> {
    this.#options.onFailover?.({ server: this.#servers[index]!.host, reason });
    const count = this.#servers.length;
    if (this.#current === index) this.#current = (index + 1) % count;
    if ((attempt + 1) % count !== 0 || attempt + 1 === ATTEMPTS_MAX) return;
    const pauseMs = Math.max(BACKOFF_MS * 2 ** Math.floor(attempt / count), waitMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  #read<T>(answer: HttpAnswer, schema: z.ZodType<T>): T {
    const parsed = schema.safeParse(parseJson(answer.body));
    if (parsed.success) return parsed.data;
    // Only names of fields are told: the values can be secret.
    const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "everything").join(", ");
    throw new CodedError("HTTPS_ANSWER", `Cannot use an answer of ${this.#options.what}: wrong ${fields}`);
  }

  #problem({ status, body }: HttpAnswer): CodedError {
    const problem = Problem.safeParse(parseJson(body)).data;
    if (problem === undefined || !/^[A-Z][A-Z0-9_]{2,63}$/.test(problem.code)) {
      const message = `Cannot use ${this.#options.what}: it answers ${status} without saying why`;
      return new CodedError("HTTPS_ANSWER", message, { status });
    }
    return new CodedError(problem.code, problem.detail ?? problem.title, {
      status,
      ...(problem.next === undefined ? {} : { next: problem.next }),
      fromService: true,
    });
  }

  #unusable(why: string): CodedError {
    return new CodedError("HTTPS_CONFIGURATION", `Cannot reach ${this.#options.what}: ${why}`);
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

defineErrors({
  HTTPS_CONFIGURATION: {
    fault: "configuration",
    retry: false,
    next: "Correct addresses, keys and certificates in the configuration.",
  },
  HTTPS_UNREACHABLE: {
    fault: "service",
    retry: true,
    http: 503,
    next: "No server answers: check the network and the servers, then try again.",
  },
  HTTPS_ANSWER: {
    fault: "peer",
    retry: true,
    http: 503,
    next: "The server's answer is not what it should be: tell whoever runs it.",
  },
});
