/**
 * Files over HTTP(S) as a stream, from any byte on: bounded in time, with a client certificate where the server wants one.
 * node:https, for the reasons in shared/transport/https_exchange.ts.
 */

import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { CodedError } from "shared/base/errors.ts";
import "./errors.ts";

/** Longest silence of a server, in milliseconds. */
const IDLE_TIMEOUT_MS = 20_000;
/** Longest time for one file, in milliseconds: a server that drips bytes is refused. */
const FILE_TIMEOUT_MS = 600_000;

/** PEM texts: the only authorities that are believed, our certificate and its key. */
export interface ClientTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** An answer whose body has not been read yet. */
export interface SourceAnswer {
  readonly status: number;
  /** First byte that the body holds: 0, or what was asked for. */
  readonly offset: number;
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection back without reading the body. */
  cancel(): void;
}

/** Where files come from. */
export interface FileSource {
  /**
   * Asks for a file from a byte on. A server that does not know ranges answers from 0.
   * @throws {CodedError} `TUF_UNREACHABLE`, also while the body is read.
   */
  get(url: string, offset: number): Promise<SourceAnswer>;
}

/** A source over the network. */
export function httpSource(tls?: ClientTls): FileSource {
  return {
    get: (address, offset) =>
      new Promise((resolve, reject) => {
        const url = new URL(address);
        const deadline = setTimeout(() => end(new Error("it takes too long")), FILE_TIMEOUT_MS);
        const send = url.protocol === "https:" ? httpsRequest : httpRequest;
        const outgoing = send(url, {
          ...tls,
          agent: false,
          timeout: IDLE_TIMEOUT_MS,
          headers: {
            // Bytes are compared with what was signed: nobody may pack them on the way.
            "accept-encoding": "identity",
            ...(offset === 0 ? {} : { range: `bytes=${offset}-` }),
          },
        }, (incoming) => {
          const release = () => {
            clearTimeout(deadline);
            incoming.destroy();
          };
          resolve({
            status: incoming.statusCode ?? 0,
            offset: firstByte(incoming, offset),
            body: bodyOf(incoming, url, release),
            cancel: release,
          });
        });
        const end = (error: Error) => {
          clearTimeout(deadline);
          reject(unreachable(url, error));
          outgoing.destroy();
        };
        outgoing.on("error", end);
        outgoing.on("timeout", () => end(new Error("it does not answer")));
        outgoing.end();
      }),
  };
}

async function* bodyOf(incoming: IncomingMessage, url: URL, release: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* incoming as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw unreachable(url, error);
  } finally {
    release();
  }
  if (!incoming.complete) throw unreachable(url, new Error("the connection ended early"));
}

/** What a partial answer (RFC 9110, 15.3.7) begins with. */
function firstByte({ statusCode, headers }: IncomingMessage, asked: number): number {
  if (statusCode !== 206) return 0;
  const said = /^bytes (\d{1,15})-/.exec(headers["content-range"] ?? "")?.[1];
  return said === undefined ? asked : Number(said);
}

function unreachable({ host, pathname }: URL, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const state = error instanceof Error ? error.message : "it is not reached";
  return new CodedError("TUF_UNREACHABLE", `Cannot fetch ${pathname} from ${host}: ${state}`, {}, error);
}
