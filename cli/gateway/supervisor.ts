/**
 * The parent of a gateway: holds its sockets, replaces its process in place, keeps the history of its configurations. It
 * parses nothing that comes from the network and decides on no request.
 */

import { GatewayConfig } from "gateway/app/config.ts";
import { parseConfig, readTextFile } from "gateway/app/config_file.ts";
import { authorityOf } from "gateway/app/addresses.ts";
import { fixedChanges } from "gateway/app/reloadable.ts";
import { CodedError, codeOf } from "shared/base/errors.ts";
import "gateway/transport/errors.ts";
import { writePrivate } from "../paths.ts";
import { commandLine } from "../process/child.ts";
import { runCollected } from "../process/foreground.ts";
import { type ControlRequest, openControl } from "./control.ts";
import { freePort, type HeldSocket, holdSocket } from "./held_socket.ts";
import { type ChangeKind, type Generation, History } from "./history.ts";
import { gatewaySpec } from "./spec.ts";
import { Worker } from "./worker.ts";

/** What a configuration change needs. */
type Way = "reload" | "upgrade";

/** The parent of one gateway. */
export class Supervisor {
  readonly #history: History;
  readonly #draining = new Set<Worker>();
  #turn: Promise<unknown> = Promise.resolve();
  #worker!: Worker;
  #config: GatewayConfig;
  #generation: Generation | undefined;
  #stopping = false;
  #stopped: (code: number) => void = () => {};
  /** Resolves with the exit code when everything has ended. */
  readonly stopped: Promise<number> = new Promise((resolve) => this.#stopped = resolve);

  private constructor(
    readonly file: string,
    readonly state: string,
    config: GatewayConfig,
    readonly sockets: { readonly listen: HeldSocket; readonly admin: HeldSocket },
  ) {
    this.#config = config;
    this.#history = new History(state);
  }

  /**
   * Starts the gateway of a file; it serves when this resolves.
   * @throws {CodedError} `GATEWAY_CONFIG`, `GATEWAY_FILE`, `GATEWAY_LISTEN`, `GATEWAY_CONTROL`, `GATEWAY_WORKER`; nothing stays open.
   */
  static async start(file: string, state: string): Promise<Supervisor> {
    const text = await readTextFile(file, "configuration");
    const config = parseConfig(file, text, GatewayConfig);
    const listen = holdSocket(config.listen.address, config.listen.port);
    let admin: HeldSocket | undefined;
    let control: { close(): void } | undefined;
    try {
      admin = holdSocket(config.admin.address, config.admin.port);
      const supervisor = new Supervisor(file, state, config, { listen, admin });
      control = await openControl(state, (request) => supervisor.handle(request));
      void supervisor.stopped.then(() => control?.close());
      await supervisor.#begin(text);
      return supervisor;
    } catch (error) {
      control?.close();
      admin?.close();
      listen.close();
      throw error;
    }
  }

  /** The ready line, as the gateway's own. */
  get ready(): Readonly<Record<string, unknown>> {
    return this.#worker.ready;
  }

  async #begin(text: string): Promise<void> {
    this.#worker = await this.#spawn(this.#config);
    this.#watch(this.#worker);
    this.#generation = await this.#history.record(text, { by: userName(), how: "start" });
  }

  /** @param change Why the new process takes the place of the one that serves. */
  async #spawn(config: GatewayConfig, change?: "upgrade" | "rollback"): Promise<Worker> {
    const { address } = config.listen;
    const ports = { proofPort: freePort(address), foreignPort: freePort(config.admin.address) };
    const worker = new Worker({
      spec: gatewaySpec(this.file, config, ports),
      listenFd: this.sockets.listen.fd,
      adminFd: this.sockets.admin.fd,
      ...ports,
      change,
    });
    for (const socket of [this.sockets.listen, this.sockets.admin]) socket.unblock();
    // An accept that began in between blocks still: a signal makes the kernel begin it again.
    if (change !== undefined) this.#worker.signal("SIGCONT");
    let logGiven = false;
    try {
      await worker.untilReady(async () => {
        logGiven = true;
        await this.#worker.turnLog();
      });
    } catch (error) {
      // The one that serves goes on as before, its log included.
      if (logGiven) await this.#worker.turnLog();
      throw error;
    }
    return worker;
  }

  /** A process that serves and ends without being asked ends the command: whoever supervises that sees it. */
  #watch(worker: Worker): void {
    void worker.exited.then((code) => {
      this.#draining.delete(worker);
      if (worker === this.#worker && !this.#stopping) {
        this.#stopping = true;
        for (const other of this.#draining) other.signal("SIGTERM");
      }
      if (this.#stopping && this.#draining.size === 0 && this.#worker === worker) this.#end(code);
      else if (this.#stopping && this.#draining.size === 0) {
        void this.#worker.exited.then((c) => this.#end(c));
      }
    });
  }

  #end(code: number): void {
    this.#stopped(code);
  }

  /** Drains and ends. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    // The worker still accepts: what waits in the socket is served before its own copy is closed too.
    this.sockets.listen.close();
    this.sockets.admin.close();
    for (const worker of [this.#worker, ...this.#draining]) worker.signal("SIGTERM");
  }

  /** Carries out a request of a command; changes come one after the other. */
  handle(request: ControlRequest): Promise<Readonly<Record<string, unknown>>> {
    const { verb, by } = request;
    if (verb === "status") return this.status();
    const turn = this.#turn.then(() => {
      if (this.#stopping) {
        throw new CodedError("GATEWAY_NOT_RUNNING", "Cannot change the gateway: it is ending");
      }
      if (verb === "rollback") return this.#rollback(by, request.to);
      if (verb === "upgrade") return this.#change(by, "upgrade", "upgrade");
      return this.#change(by, "reload");
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** What runs. */
  status(): Promise<Readonly<Record<string, unknown>>> {
    return Promise.resolve({
      config: this.file,
      state: this.state,
      listen: this.ready.listen,
      admin: this.ready.admin,
      pid: this.#worker.pid,
      draining: [...this.#draining].map(({ pid }) => pid),
      generation: this.#generation ?? null,
    });
  }

  /** Takes the file as it stands, or nothing of it. */
  async #change(
    by: string,
    how: ChangeKind,
    way?: Way,
    restores?: number,
  ): Promise<Readonly<Record<string, unknown>>> {
    const text = await readTextFile(this.file, "configuration");
    const config = parseConfig(this.file, text, GatewayConfig);
    const used = way ?? this.#wayOf(config);
    const restoring = how === "rollback";
    if (used === "upgrade") await this.#replace(config, restoring ? "rollback" : "upgrade");
    else {
      const result = await this.#worker.reload(restoring);
      if (!result.reloaded) throw new CodedError(result.code, result.message);
    }
    this.#config = config;
    this.#generation = await this.#history.record(text, {
      by,
      how,
      ...(restores === undefined ? {} : { restores }),
    });
    return { generation: this.#generation.generation, way: used, pid: this.#worker.pid };
  }

  /** A running process takes what it can; other bounds, pools or permissions need a new one. */
  #wayOf(config: GatewayConfig): Way {
    const flags = (each: GatewayConfig) => commandLine(gatewaySpec(this.file, each)).join("\n");
    const same = fixedChanges(this.#config, config).length === 0 && flags(this.#config) === flags(config);
    return same ? "reload" : "upgrade";
  }

  /** Lets a new process take the place of the one that serves, on the same sockets. */
  async #replace(config: GatewayConfig, change: "upgrade" | "rollback"): Promise<void> {
    const where = ({ listen, admin }: GatewayConfig) =>
      [authorityOf(listen.address, listen.port), authorityOf(admin.address, admin.port)].join();
    if (where(config) !== where(this.#config)) {
      throw new CodedError("GATEWAY_RELOAD_FIXED", "Cannot change the addresses of a running gateway");
    }
    // Told apart from the start, so that whoever asked gets to read why, and not only the log.
    const check = await runCollected(gatewaySpec(this.file, config, undefined, ["--check"]));
    if (check.code !== 0) throw refused(check.errors);
    const next = await this.#spawn(config, change);
    const last = this.#worker;
    this.#worker = next;
    this.#draining.add(last);
    this.#watch(next);
    last.signal("SIGUSR2");
  }

  async #rollback(by: string, to: number | undefined): Promise<Readonly<Record<string, unknown>>> {
    const target = to ?? await this.#history.previous();
    const text = await this.#history.text(target);
    parseConfig(`generation ${target}`, text, GatewayConfig);
    const before = await readTextFile(this.file, "configuration");
    await writePrivate(this.file, text);
    try {
      return { ...await this.#change(by, "rollback", undefined, target), restored: target };
    } catch (error) {
      await writePrivate(this.file, before);
      throw error;
    }
  }
}

/** Who runs this program, for the history: what the environment says, not a proof. */
export function userName(): string {
  return Deno.env.get("SUDO_USER") ?? Deno.env.get("LOGNAME") ?? Deno.env.get("USER") ??
    `uid ${Deno.uid() ?? "unknown"}`;
}

/** What a process that ended at once wrote, as the error that it was. */
function refused(errors: string): CodedError {
  const told = /^([A-Z][A-Z0-9_]+): ([^]*)\n[^\n]*\n?$/m.exec(errors.trimEnd() + "\n");
  return new CodedError(told?.[1] ?? "GATEWAY_WORKER", told?.[2] ?? "Cannot check the configuration");
}

/** Runs a gateway in the foreground under a parent until it ends; resolves to the exit code. */
export async function superviseForeground(file: string, state: string): Promise<number> {
  let supervisor: Supervisor | undefined;
  let stopRequested = false;
  const stop = () => {
    stopRequested = true;
    supervisor?.stop();
  };
  const change = (verb: "reload" | "upgrade") => () =>
    void supervisor?.handle({ verb, by: "signal" }).catch((error: Error) => {
      const fields = { code: codeOf(error), message: error.message };
      console.error(
        JSON.stringify({ level: "error", process: "gateway-parent", event: `${verb}-refused`, ...fields }),
      );
    });
  // Before anything starts: a signal in between must not leave a process behind.
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGHUP", change("reload"));
  Deno.addSignalListener("SIGUSR2", change("upgrade"));
  try {
    supervisor = await Supervisor.start(file, state);
  } catch (error) {
    // The process has told why, with the exit code that belongs to it.
    const told = error instanceof CodedError && error.code === "GATEWAY_WORKER" && error.details.exitCode;
    if (typeof told === "number" && told > 0) return told;
    throw error;
  }
  console.log(JSON.stringify(supervisor.ready));
  if (stopRequested) supervisor.stop();
  return await supervisor.stopped;
}
