/** The gateways of the benchmark as processes: ours as people run it, the others from Debian with the files in `peers/`. */

import { createServer } from "node:net";
import { GatewayConfig } from "gateway/app/config.ts";
import { readConfig } from "gateway/app/config_file.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { gatewaySpec } from "../gateway/spec.ts";
import { startChild } from "../process/child.ts";
import { deniedNetworks, ownConfig } from "./gateway_files.ts";

/** Names of the gateways that are compared, ours first. */
export const SUBJECTS = ["ours", "nginx", "haproxy", "caddy"] as const;
/** One of {@link SUBJECTS}. */
export type SubjectName = (typeof SUBJECTS)[number];

/** A running gateway. */
export interface Subject {
  readonly port: number;
  /** The process to measure, with its children. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** How a gateway is started. */
export interface SubjectOptions {
  /** Folder with the shared files; logs go there. */
  readonly folder: string;
  /** `host:port`. */
  readonly upstream: string;
  /** Folder of the others' configuration files. */
  readonly peers: string;
  /** Processor on which it has to stay; undefined: anywhere. */
  readonly processor: number | undefined;
  readonly routes?: number;
  readonly denied: number;
  readonly connections: number;
}

const READY_MS = 20_000;

/** Starts one. @throws {CodedError} `BENCH_GATEWAY` when it does not come up. */
export async function startSubject(name: SubjectName, options: SubjectOptions): Promise<Subject> {
  return name === "ours" ? await startOurs(options) : await startPeer(name, options);
}

async function startOurs(options: SubjectOptions): Promise<Subject> {
  const [listen, admin] = [await freePort(), await freePort()];
  const file = `${options.folder}/gateway-${listen}.yaml`;
  await Deno.writeTextFile(
    file,
    ownConfig({
      listen,
      admin,
      upstream: options.upstream,
      routes: options.routes ?? 1,
      denied: deniedNetworks(options.denied),
      connections: options.connections,
    }),
  );
  const child = await startChild({
    ...gatewaySpec(file, await readConfig(file, GatewayConfig)),
    logFile: `${options.folder}/ours.log`,
  });
  await pin(child.pid, options.processor);
  return { port: listen, pid: child.pid, stop: async () => void await child.stop() };
}

const COMMANDS: Readonly<Record<Exclude<SubjectName, "ours">, (file: string) => string[]>> = {
  nginx: (file) => ["nginx", "-c", file],
  haproxy: (file) => ["haproxy", "-f", file],
  caddy: (file) => ["caddy", "run", "--adapter", "caddyfile", "--config", file],
};
const FILES: Readonly<Record<Exclude<SubjectName, "ours">, string>> = {
  nginx: "nginx.conf",
  haproxy: "haproxy.cfg",
  caddy: "Caddyfile",
};

async function startPeer(name: Exclude<SubjectName, "ours">, options: SubjectOptions): Promise<Subject> {
  const port = await freePort();
  const file = `${options.folder}/${FILES[name]}`;
  await fill(`${options.peers}/${FILES[name]}`, file, {
    PORT: String(port),
    UPSTREAM: options.upstream,
    FOLDER: options.folder,
    PROCESSES: options.processor === undefined ? "auto" : "1",
    DENIED: deniedNetworks(options.denied).join(" "),
  });
  return await startCommand(name, COMMANDS[name](file), port, options);
}

/** Starts the upstream that all of them share. */
export async function startUpstreamProcess(options: Omit<SubjectOptions, "upstream">): Promise<Subject> {
  const port = await freePort();
  const file = `${options.folder}/upstream.conf`;
  await fill(`${options.peers}/upstream.conf`, file, { PORT: String(port), FOLDER: options.folder });
  return await startCommand("upstream", ["nginx", "-c", file], port, options);
}

async function fill(from: string, to: string, values: Readonly<Record<string, string>>): Promise<void> {
  const text = await Deno.readTextFile(from);
  await Deno.writeTextFile(to, text.replace(/@([A-Z]+)@/g, (whole, name: string) => values[name] ?? whole));
}

async function startCommand(
  name: string,
  command: readonly string[],
  port: number,
  options: Pick<SubjectOptions, "folder" | "processor">,
): Promise<Subject> {
  const pinned = options.processor === undefined ? [] : ["taskset", "-c", String(options.processor)];
  // The shell opens the log; `exec` keeps the process id. nginx and HAProxy are in a folder that not everybody's PATH has.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'exec "$@" >>"$0" 2>&1', `${options.folder}/${name}.log`, ...pinned, ...command],
    env: { PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/usr/local/sbin`, HOME: options.folder },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  const status = child.status.then(() => ended = true);
  const until = performance.now() + READY_MS;
  while (!await listens(port)) {
    if (ended || performance.now() > until) {
      if (!ended) child.kill("SIGKILL");
      const log = await Deno.readTextFile(`${options.folder}/${name}.log`);
      throw new CodedError("BENCH_GATEWAY", `Cannot start ${name}: ${log.slice(-600).trim()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    port,
    pid: child.pid,
    stop: async () => {
      // QUIT would wait for idle connections.
      if (!ended) child.kill("SIGTERM");
      await status;
    },
  };
}

async function listens(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** Keeps every thread of a process on one processor. */
async function pin(pid: number, processor: number | undefined): Promise<void> {
  if (processor === undefined) return;
  await new Deno.Command("taskset", {
    args: ["-acp", String(processor), String(pid)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen({ host: "127.0.0.1", port: 0 }, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

defineErrors({
  BENCH_GATEWAY: {
    fault: "installation",
    retry: false,
    next:
      "Install what the message names (nginx, haproxy, caddy, gcc, libssl-dev); with root `rk bench gateway` does it by itself.",
  },
});
