/** `rk gateway` as people run it: the command as a process, with a configuration and a state folder of its own. */

import { createServer } from "node:net";
import { fromFileUrl } from "cli/paths.ts";
import { type TestConfig, writeGatewayFiles } from "tests/environment/gateway.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** What a command printed. */
export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const PERMISSIONS = ["read", "write", "env", "run", "sys", "ffi"].map((kind) => `--allow-${kind}`);
/** The parent listens at whatever address, four commands speak with it; every other command reaches this host alone. */
const netOf = ([first = ""]: readonly string[]) =>
  /^(?:-.*|reload|upgrade|rollback|status)$/.test(first)
    ? "--allow-net"
    : "--allow-net=127.0.0.1,localhost,0.0.0.0";

function command(args: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    cwd: ROOT,
    // As the script `rk` starts it: with all permissions the runtime would also read what it otherwise does not.
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--no-prompt",
      ...PERMISSIONS,
      netOf(args),
      "cli/main.ts",
      "gateway",
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs `rk gateway ARGS` to its end. */
export async function runCommand(...args: string[]): Promise<CommandOutcome> {
  const { code, stdout, stderr } = await command(args).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** A gateway that `rk gateway --config FILE` started. */
export interface CommandGateway {
  readonly port: number;
  readonly adminPort: number;
  readonly folder: string;
  readonly config: string;
  readonly pid: number;
  /** Runs `rk gateway VERB --config FILE --state FOLDER`. */
  run(verb: string, ...more: string[]): Promise<CommandOutcome>;
  signal(name: Deno.Signal): void;
  /** Starts the command again after `stop`. */
  start(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
  /** What it logged so far in this run. */
  readonly log: () => string;
  close(): Promise<void>;
}

/** Starts a gateway in front of upstream instances. */
export async function startCommandGateway(
  upstreams: readonly { readonly url: string }[],
  edit: (config: TestConfig) => void = () => {},
): Promise<CommandGateway> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const { folder, path } = await writeGatewayFiles({
    upstreams,
    edit: (config) => {
      config.listen.port = port;
      config.admin.port = adminPort;
      config.log = { level: "warning" };
      edit(config);
    },
  });
  let child: Deno.ChildProcess | undefined;
  let log = "";
  let logged: Promise<void> = Promise.resolve();
  let lines: ReadableStreamDefaultReader<string> | undefined;
  const gateway: CommandGateway = {
    port,
    adminPort,
    folder,
    config: path,
    get pid() {
      return child!.pid;
    },
    run: (verb, ...more) => runCommand(verb, "--config", path, "--state", `${folder}/state`, ...more),
    signal: (name) => child!.kill(name),
    start: async () => {
      log = "";
      child = command(["--config", path, "--state", `${folder}/state`]).spawn();
      const errors = child.stderr.pipeThrough(new TextDecoderStream());
      logged = (async () => {
        for await (const part of errors) log += part;
      })();
      lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const { value } = await lines.read();
      if (!value?.includes('"ready":true')) {
        await logged;
        throw new Error(`Cannot start the gateway: ${log}`);
      }
    },
    stop: async () => {
      if (child === undefined) return 0;
      const running = child;
      child = undefined;
      try {
        running.kill("SIGTERM");
      } catch {
        // It has ended already.
      }
      const { code } = await running.status;
      await lines?.cancel();
      await logged;
      return code;
    },
    log: () => log,
    close: async () => {
      await gateway.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
  try {
    await gateway.start();
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return gateway;
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
