/** Child processes of a deployment: started under their permission set, ready when they say so, stopped for certain. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { permissionFlags, permissionSet, type Substitution } from "./permissions.ts";

/** What to start. */
export interface ChildSpec {
  /** Name in logs and messages. */
  readonly name: string;
  /** Main module, relative to the repository. */
  readonly module: string;
  /** Name of its permission set in deno.json. */
  readonly permissions: string;
  readonly substitution: Substitution;
  readonly args: readonly string[];
  /** Extra environment; everything else but the basics is withheld. */
  readonly env?: Readonly<Record<string, string>>;
  /** Where its standard error goes. */
  readonly logFile: string;
  /** A module that is loaded first, in the same process and with the same permissions (tests). */
  readonly preload?: string;
  /** Options of the runtime's JavaScript engine, such as `--liftoff-only`. */
  readonly engine?: string;
  /** Longest wait for the ready line, in milliseconds. */
  readonly readyTimeoutMs?: number;
  /** It outlives this command and its terminal. */
  readonly outlives?: boolean;
}

/** A running child. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The JSON object of its ready line. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Its standard output after the ready line, line by line. */
  lines(): AsyncIterable<string>;
  /** Writes a line to its standard input. */
  write(line: string): Promise<void>;
  /** Resolves with the exit code. */
  readonly exited: Promise<number>;
  /** Asks it to end (SIGTERM), and kills it when it does not within `graceMs`. */
  stop(graceMs?: number): Promise<number>;
  /** Lets it go: it stays when this process ends. */
  release(): void;
  /** SIGKILL, as a power failure would. */
  kill(): Promise<number>;
}

const READY_TIMEOUT_MS = 45_000;
const STOP_GRACE_MS = 8_000;
const INHERITED = [
  "PATH",
  "HOME",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "DENO_DIR",
  "NO_COLOR",
  "TERM",
  "COLUMNS",
];

/** The command line of a child, so that tests and `--keep` can show it. */
export function commandLine(spec: Omit<ChildSpec, "logFile">): string[] {
  return [
    "run",
    "--quiet",
    "--frozen",
    `--config=${REPOSITORY}/deno.json`,
    ...permissionFlags(permissionSet(spec.permissions), spec.substitution),
    ...(spec.engine ? [`--v8-flags=${spec.engine}`] : []),
    ...(spec.preload ? [`--preload=${spec.preload}`] : []),
    `${REPOSITORY}/${spec.module}`,
    ...spec.args,
  ];
}

/** Environment of a child: the basics and what the spec adds. */
export function environment(spec: Pick<ChildSpec, "env">): Record<string, string> {
  const env: Record<string, string> = { DENO_NO_UPDATE_CHECK: "1", DENO_NO_PROMPT: "1" };
  for (const name of INHERITED) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...spec.env };
}

/** Starts a child and waits for its ready line. @throws {CodedError} `CHILD_NOT_READY` with the end of its log. */
export async function startChild(spec: ChildSpec): Promise<Child> {
  (await Deno.open(spec.logFile, { create: true, append: true, mode: 0o600 })).close();
  // The shell opens the log, so that a process that outlives us goes on logging, and forbids core files, which would hold
  // what the process knows; `exec` keeps the process id.
  const shell = [
    "-c",
    'ulimit -c 0; exec "$@" 2>>"$0"',
    spec.logFile,
    DENO,
  ];
  const child = new Deno.Command("/bin/sh", {
    args: [...shell, ...commandLine(spec)],
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    // A session of its own: neither the end of this command nor of its terminal reaches it.
    detached: spec.outlives ?? false,
  }).spawn();
  const exited = child.status.then((status) => status.code);
  const stdin = child.stdin.getWriter();
  const queue = new LineQueue(child.stdout);
  const first = await withTimeout(queue.next(), spec.readyTimeoutMs ?? READY_TIMEOUT_MS);
  const ready = first === undefined ? undefined : parseReady(first);
  if (ready === undefined) {
    signal(child, "SIGKILL");
    const code = await exited;
    await stdin.close().catch(() => {});
    await queue.drain();
    throw new CodedError(
      "CHILD_NOT_READY",
      `Cannot start ${spec.name}: exit code ${code}\n${await tail(spec.logFile)}`,
      { process: spec.name, exitCode: code },
    );
  }
  const end = async (name: Deno.Signal, graceMs: number) => {
    signal(child, name);
    const timer = setTimeout(() => signal(child, "SIGKILL"), graceMs);
    const code = await exited;
    clearTimeout(timer);
    await stdin.close().catch(() => {});
    await queue.drain();
    return code;
  };
  return {
    name: spec.name,
    pid: child.pid,
    ready,
    lines: () => queue,
    write: (line) => stdin.write(new TextEncoder().encode(`${line}\n`)),
    exited,
    stop: (graceMs = STOP_GRACE_MS) => end("SIGTERM", graceMs),
    release: () => child.unref(),
    kill: () => end("SIGKILL", 0),
  };
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch (error) {
    // It has ended already.
    if (!(error instanceof TypeError)) throw error;
  }
}

function parseReady(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    return value.ready === true ? value : undefined;
  } catch {
    return undefined;
  }
}

async function tail(path: string, lines = 8): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).map((line) => `    ${line}`).join("\n");
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), timeoutMs));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lines of a stream. What nobody reads is dropped beyond a bound, so that a child never blocks on a full pipe. */
class LineQueue implements AsyncIterable<string> {
  static readonly #BOUND = 10_000;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  readonly #reading: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reading = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for await (const chunk of stream) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = parts.pop()!;
        this.#lines.push(...parts);
        if (this.#lines.length > LineQueue.#BOUND) {
          this.#lines.splice(0, this.#lines.length - LineQueue.#BOUND);
        }
        this.#wake?.();
      }
    } finally {
      if (rest) this.#lines.push(rest);
      this.#ended = true;
      this.#wake?.();
    }
  }

  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0) {
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#lines.shift();
  }

  async drain(): Promise<void> {
    await this.#reading.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    for (let line = await this.next(); line !== undefined; line = await this.next()) yield line;
  }
}

defineErrors({
  CHILD_NOT_READY: {
    fault: "service",
    retry: true,
    next: "The lines above are the end of its log; `RK_DEBUG=1` shows more.",
  },
});
