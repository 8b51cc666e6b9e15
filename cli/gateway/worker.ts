/** One gateway process on held sockets: started under its permission set, asked to reload, drained. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { type HandedSockets, handedText } from "gateway/app/handed_sockets.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { type ChildSpec, commandLine, environment } from "../process/child.ts";

/** Longest wait until a worker serves, or says what became of a reload; milliseconds. */
const ANSWER_MS = 60_000;

/** What a worker said of a reload. */
export type ReloadResult =
  | { readonly reloaded: true }
  | { readonly reloaded: false; readonly code: string; readonly message: string };

/** How to start a worker; descriptors are those of the holder. */
export interface WorkerSpec {
  readonly spec: Omit<ChildSpec, "logFile" | "readyTimeoutMs">;
  readonly listenFd: number;
  readonly adminFd: number;
  readonly proofPort: number;
  readonly foreignPort: number;
  /** Why it takes another's place; undefined: it is the first. */
  readonly change: "upgrade" | "rollback" | undefined;
}

/** Where the worker finds the sockets: its standard input, and the first descriptor behind the standard three. */
const INSIDE = { listenFd: 0, adminFd: 3 };

/** A gateway process. */
export class Worker {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  /** Resolves with the exit code; 1 when a signal ended it. */
  readonly exited: Promise<number>;
  #ended = false;
  /** Its ready line. */
  ready: Readonly<Record<string, unknown>> = {};

  constructor(worker: WorkerSpec) {
    const sockets: HandedSockets = { ...worker, ...INSIDE };
    const change = worker.change === undefined ? [] : ["--change", worker.change];
    this.#process = spawn(DENO, [...commandLine(worker.spec), "--handed", handedText(sockets), ...change], {
      cwd: REPOSITORY,
      env: environment(worker.spec),
      stdio: [worker.listenFd, "pipe", "inherit", worker.adminFd],
    });
    this.exited = new Promise((resolve) =>
      this.#process.once("exit", (code) => {
        this.#ended = true;
        this.#wake();
        resolve(code ?? 1);
      })
    );
    createInterface({ input: this.#process.stdout as Readable }).on("line", (line) => {
      this.#lines.push(line);
      this.#wake();
    });
  }

  /** Process id. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /**
   * Waits for the ready line.
   * @param logWanted Called when the process asks for the log of the one whose place it takes.
   * @throws {CodedError} `GATEWAY_WORKER`; the process is gone then.
   */
  async untilReady(logWanted: () => Promise<void>): Promise<void> {
    let line = await this.#next("ready", "log");
    if (line?.log === "wanted") {
      await logWanted();
      line = await this.#next("ready");
    }
    if (line?.ready === true) return void (this.ready = line);
    this.signal("SIGKILL");
    const code = await this.exited;
    throw new CodedError(
      "GATEWAY_WORKER",
      `Cannot start the gateway process: it ended with exit code ${code}`,
      {
        exitCode: code,
      },
    );
  }

  /** Asks it to let its log go, or to take it again; resolves when it did, could not, or is gone. */
  async turnLog(): Promise<void> {
    this.signal("SIGWINCH");
    await this.#next("log");
  }

  /**
   * Asks it to take its file anew.
   * @param restores It is an earlier one.
   * @throws {CodedError} `GATEWAY_WORKER` when it does not answer.
   */
  async reload(restores: boolean): Promise<ReloadResult> {
    this.signal(restores ? "SIGURG" : "SIGHUP");
    const line = await this.#next("reloaded");
    if (line === undefined) {
      throw new CodedError("GATEWAY_WORKER", "Cannot reload: the gateway process does not answer");
    }
    if (line.reloaded === true) return { reloaded: true };
    return { reloaded: false, code: String(line.code), message: String(line.message) };
  }

  /** Sends a signal; a process that has ended already does not mind. */
  signal(name: "SIGHUP" | "SIGTERM" | "SIGUSR2" | "SIGKILL" | "SIGURG" | "SIGWINCH" | "SIGCONT"): void {
    if (this.#ended) return;
    // Not the child's own kill(): the runtime takes the process for ended by then.
    try {
      Deno.kill(this.pid, name);
    } catch {
      // It ended a moment ago.
    }
  }

  /** The next line that has one of these fields; undefined when the worker ended or is silent for too long. */
  async #next(...fields: readonly string[]): Promise<Record<string, unknown> | undefined> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, ANSWER_MS);
    try {
      while (true) {
        if (this.#lines.length > 0) {
          const line = JSON.parse(this.#lines.shift()!) as Record<string, unknown>;
          if (fields.some((field) => Object.hasOwn(line, field))) return line;
          continue;
        }
        if (this.#ended || late) return undefined;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

defineErrors({
  GATEWAY_WORKER: {
    fault: "service",
    retry: true,
    next: "The log lines before this one say why; the gateway that served before goes on.",
  },
});
