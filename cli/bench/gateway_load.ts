/** Builds and runs the load generator (gateway_load.c): a client certificate of its own for each connection. */

import { CodedError } from "shared/base/errors.ts";
import { fromFileUrl } from "../paths.ts";
import { BENCH_PATH } from "./gateway_files.ts";
import "./gateway_subjects.ts";

/** What a run of load counted. */
export interface LoadResult {
  /** Requests, or handshakes with one request each. */
  readonly count: number;
  /** Connections that broke or answers that were none. */
  readonly errors: number;
  /** Answers other than 200. */
  readonly refused: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the generator itself, to see that it does not hold the rest back. */
  readonly cpuSeconds: number;
}

/** A run. */
export interface LoadOptions {
  readonly port: number;
  /** `slow`: heads that never end; `flood`: handshakes without a certificate. Both from fifty other addresses. */
  readonly mode: "requests" | "handshakes" | "idle" | "slow" | "flood";
  readonly connections: number;
  readonly seconds: number;
  /** Processor on which it has to stay. */
  readonly processor: number | undefined;
  /** It gives way to everything else on its processor: an attacker's own work must not delay honest clients. */
  readonly givesWay?: boolean;
  /** Called when counting begins; for `idle` and `slow` when every connection was opened. */
  readonly onCounting?: () => Promise<void>;
  /** Called when counting has ended. */
  readonly onCounted?: () => Promise<void>;
}

/** Compiles the generator. @throws {CodedError} `BENCH_GATEWAY`. */
export async function buildLoad(folder: string): Promise<void> {
  const source = fromFileUrl(new URL("./gateway_load.c", import.meta.url));
  const { success, stderr } = await new Deno.Command("cc", {
    args: ["-O2", "-o", `${folder}/load`, source, "-lssl", "-lcrypto"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  throw new CodedError(
    "BENCH_GATEWAY",
    `Cannot build the load generator: ${new TextDecoder().decode(stderr).slice(-400)}`,
  );
}

/** Runs it. @throws {CodedError} `BENCH_GATEWAY`. */
export async function runLoad(folder: string, options: LoadOptions): Promise<LoadResult> {
  const command = [
    ...(options.givesWay ? ["chrt", "--idle", "0"] : []),
    ...(options.processor === undefined ? [] : ["taskset", "-c", String(options.processor)]),
    `${folder}/load`,
    String(options.port),
    `${folder}/servers.crt`,
    `${folder}/clients.pem`,
    String(options.connections),
    String(options.seconds),
    options.mode,
    BENCH_PATH,
  ];
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "load", ...command],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const faults = new Response(child.stderr).text();
  let last: string | undefined;
  let lines = 0;
  for await (const line of linesOf(child.stdout)) {
    last = line;
    if (lines++ === 0) await options.onCounting?.();
  }
  await options.onCounted?.();
  const status = await child.status;
  if (!status.success || last === undefined) {
    throw new CodedError("BENCH_GATEWAY", `Cannot run the load: ${(await faults).slice(-400).trim()}`);
  }
  await faults;
  return JSON.parse(last) as LoadResult;
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter(Boolean);
  }
}
