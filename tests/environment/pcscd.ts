/**
 * A private pcscd with vpcd readers, for tests. It runs in a mount namespace of its own, where its fixed
 * directory /run/pcscd is a folder of the test: the machine's own PC/SC service is neither used nor disturbed.
 *
 * Clients find it through the environment variable PCSCLITE_CSOCK_NAME, which libpcsclite reads once, at the
 * first call of a process. So whatever talks to it runs in a process started with `pcscd.env`.
 *
 * Permissions of the test: read and write for the directory, read for the driver's folder, net for finding free
 * ports, run for sh, unshare, setpriv and deno; root, or user namespaces.
 */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { libraryCandidates } from "shared/transport/pcsc/library.ts";

/** Options of `startPcscd`. */
export interface PcscdOptions {
  /** Folder for sockets, configuration and logs; it must exist. Its path must be short: Unix sockets end at 107. */
  readonly directory: string;
  /** How many readers, 1 to 14. */
  readonly readers: number;
}

/** A reader and the TCP port at which a virtual card attaches to it. */
export interface VpcdReader {
  readonly name: string;
  readonly port: number;
}

/** A pcscd that runs. */
export interface Pcscd extends AsyncDisposable {
  /** Value for PCSCLITE_CSOCK_NAME. */
  readonly socket: string;
  /** Environment for client processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly readers: readonly VpcdReader[];
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Ends it if it runs, starts it again with the same readers and waits until they are listed. */
  restart(): Promise<void>;
  /** Ends it. Safe to call twice. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const STOP_MS = 5_000;
const ATTEMPTS = 3;
/** Each block of reader.conf gives two readers, and pcscd has room for 16; one entry is left for notifications. */
const READERS_MAX = 14;
/** Ports below the range that outgoing connections take theirs from. */
const PORTS = { first: 20_000, last: 32_000 } as const;

const DRIVER_FOLDERS = [
  "/usr/lib/pcsc/drivers/serial",
  "/usr/lib64/pcsc/drivers/serial",
  "/usr/local/lib/pcsc/drivers/serial",
  ...["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/pcsc/drivers/serial`),
];
const DAEMONS = ["/usr/sbin/pcscd", "/usr/local/sbin/pcscd", "/usr/bin/pcscd"];

// In a user namespace /run belongs to nobody: there an empty one of our own covers it.
const SCRIPT = `
{ [ -d /run/pcscd ] || mkdir /run/pcscd 2>/dev/null || { mount -t tmpfs none /run && mkdir /run/pcscd; }; } &&
mount --bind "$1/ipc" /run/pcscd && exec "$2" --foreground --config "$1/reader.conf" >>"$1/pcscd.log" 2>&1
`;

/**
 * Starts pcscd and waits until it lists its readers.
 * @throws {CodedError} `TEST_PCSCD_MISSING`, `TEST_PCSCD_NAMESPACE`, `TEST_PCSCD_START`.
 */
export async function startPcscd(options: PcscdOptions): Promise<Pcscd> {
  const { directory, readers } = options;
  if (readers < 1 || readers > READERS_MAX) {
    throw new CodedError(
      "TEST_PCSCD_START",
      `Cannot start pcscd: ${readers} readers, not 1 to ${READERS_MAX}`,
    );
  }
  const daemon = await findFirst(DAEMONS);
  const driver = await findDriver();
  for (let attempt = 1;; attempt++) {
    const pcscd = new PrivatePcscd(directory, daemon, driver);
    try {
      await pcscd.start(readers);
      return pcscd;
    } catch (error) {
      await pcscd.stop();
      // Another program can take a port between our look and pcscd's: other ports then.
      if (!(error instanceof CodedError) || error.code !== "TEST_PCSCD_START" || attempt === ATTEMPTS) {
        throw error;
      }
    }
  }
}

class PrivatePcscd implements Pcscd {
  readonly socket: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #daemon: string;
  readonly #driver: string;
  readonly #readers: VpcdReader[] = [];
  readonly #blocks: string[] = [];
  #process: Deno.ChildProcess | undefined;

  constructor(directory: string, daemon: string, driver: string) {
    this.#directory = directory;
    this.#daemon = daemon;
    this.#driver = driver;
    this.socket = `${directory}/ipc/pcscd.comm`;
    this.env = { PCSCLITE_CSOCK_NAME: this.socket };
  }

  get readers(): readonly VpcdReader[] {
    return [...this.#readers];
  }

  async start(readers: number): Promise<void> {
    await this.#configure(readers);
    await this.#run();
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.#run();
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Writes reader.conf. */
  async #configure(count: number): Promise<void> {
    for (let added = 0; added < count; added += 2) {
      const block = this.#blocks.length + 1;
      const port = freePortPair();
      // QUIRK(vpcd 0.8): the driver keeps its sockets in globals and shares one lock, so two blocks on one
      // library file answer for each other. A copy for each block is a library of its own.
      const driver = `${this.#directory}/vpcd-${block}.so`;
      await Deno.copyFile(this.#driver, driver);
      const hex = `0x${port.toString(16).toUpperCase()}`;
      this.#blocks.push(
        `FRIENDLYNAME "RK Reader ${block}"\nDEVICENAME /dev/null:${hex}\nLIBPATH ${driver}\nCHANNELID ${hex}\n`,
      );
      for (let slot = 0; slot < Math.min(2, count - added); slot++) {
        this.#readers.push({ name: `RK Reader ${block} 00 0${slot}`, port: port + slot });
      }
    }
    await Deno.writeTextFile(`${this.#directory}/reader.conf`, this.#blocks.join("\n"));
  }

  async #run(): Promise<void> {
    const ipc = `${this.#directory}/ipc`;
    await Deno.remove(ipc, { recursive: true }).catch(() => {}); // a killed pcscd leaves its socket and its pid
    await Deno.mkdir(ipc, { recursive: true });
    const namespace = Deno.uid() === 0 ? "-m" : "-rm";
    // Should the test be killed, the kernel ends pcscd with it.
    this.#process = new Deno.Command("setpriv", {
      args: [
        "--pdeathsig",
        "KILL",
        "unshare",
        namespace,
        "sh",
        "-c",
        SCRIPT,
        "sh",
        this.#directory,
        this.#daemon,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await this.#ready();
  }

  /** Waits until every reader is listed; both slots of a block are, whether they were asked for or not. */
  async #ready(): Promise<void> {
    const child = this.#process;
    if (child === undefined) throw new CodedError("TEST_PCSCD_START", "Cannot use pcscd: it was stopped");
    const listed = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        `--allow-ffi=${libraryCandidates().join(",")}`,
        new URL("pcscd_ready.ts", import.meta.url).pathname,
        String(2 * this.#blocks.length),
      ],
      env: this.env,
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const outcome = await Promise.race([
      listed.status.then((status) => status.success ? "ready" : "no client"),
      child.status.then(() => "exited"),
      new Promise<string>((resolve) => timer = setTimeout(() => resolve("too slow"), READY_MS)),
    ]);
    clearTimeout(timer);
    if (outcome === "ready") return;
    tryKill(listed, "SIGKILL");
    await listed.status;
    await this.stop();
    await this.#fail(outcome);
  }

  async #fail(outcome: string): Promise<never> {
    const said = this.#stderr.trim();
    if (outcome === "exited" && /unshare|mount/.test(said)) {
      throw new CodedError("TEST_PCSCD_NAMESPACE", `Cannot start pcscd in a namespace of its own: ${said}`);
    }
    const log = await Deno.readTextFile(`${this.#directory}/pcscd.log`).catch(() => "");
    const tail = log.trim().split("\n").slice(-5).join("; ");
    throw new CodedError("TEST_PCSCD_START", `Cannot start pcscd: ${outcome}. ${said} ${tail}`);
  }

  #stderr = "";

  async #end(signal: Deno.Signal): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    tryKill(child, signal);
    const timer = setTimeout(() => tryKill(child, "SIGKILL"), STOP_MS);
    this.#stderr = await new Response(child.stderr).text();
    await child.status;
    clearTimeout(timer);
  }
}

function tryKill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // it has ended by itself
  }
}

/** Two neighbouring ports that are free on every address, as vpcd will listen. The answer can be out of date. */
function freePortPair(): number {
  for (let attempt = 0; attempt < 200; attempt++) {
    const span = (PORTS.last - PORTS.first) / 2;
    const port = PORTS.first + 2 * Math.floor(Math.random() * span);
    if (isFree(port) && isFree(port + 1)) return port;
  }
  throw new CodedError("TEST_PCSCD_START", "Cannot start pcscd: no two neighbouring ports are free");
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "0.0.0.0", port }).close();
    return true;
  } catch {
    return false;
  }
}

async function findFirst(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    if (await Deno.stat(path).then((file) => file.isFile, () => false)) return path;
  }
  throw new CodedError("TEST_PCSCD_MISSING", `Cannot start pcscd: not found in ${paths.join(", ")}`);
}

async function findDriver(): Promise<string> {
  for (const folder of DRIVER_FOLDERS) {
    try {
      for await (const entry of Deno.readDir(folder)) {
        if (/^libifdvpcd\.so(\.[\d.]+)?$/.test(entry.name)) return `${folder}/${entry.name}`;
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new CodedError(
    "TEST_PCSCD_MISSING",
    `Cannot start pcscd: no vpcd driver in ${DRIVER_FOLDERS.join(", ")}`,
  );
}

defineErrors({
  TEST_PCSCD_MISSING: {
    fault: "installation",
    retry: false,
    next: "apt-get install pcscd vsmartcard-vpcd",
  },
  TEST_PCSCD_NAMESPACE: {
    fault: "installation",
    retry: false,
    next:
      "Run as root (sudo ./rk test), or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1",
  },
  TEST_PCSCD_START: {
    fault: "installation",
    retry: true,
    next: "Run again; the message holds pcscd's last words.",
  },
});
