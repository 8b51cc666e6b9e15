/**
 * A private Redis server for tests, on a free port of loopback, without any file of its own. `freeze` makes it a server that
 * is there and does not answer.
 *
 * Permissions: run of redis-server and kill; net for a free port.
 */

import { connect } from "node:net";
import { freePort } from "cli/spine/ports.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { missingComponent } from "./component.ts";

const START_LIMIT_MS = 30_000;

/** A server that runs. */
export interface Redis extends AsyncDisposable {
  readonly port: number;
  /** Ends it as a crash would; its memory is gone. */
  kill(): Promise<void>;
  /** A new server on the same port. */
  restart(): Promise<void>;
  /** Stops its process without ending it, and lets it go on. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** Starts a server. @throws {CodedError} `TEST_COMPONENT`, `TEST_REDIS`. */
export async function startRedis(): Promise<Redis> {
  const port = freePort();
  let child: Deno.ChildProcess | undefined = await launch(port);
  const end = async (signal: Deno.Signal) => {
    const running = child;
    child = undefined;
    if (running === undefined) return;
    running.kill("SIGCONT");
    running.kill(signal);
    await running.status;
  };
  const stop = () => end("SIGTERM");
  return {
    port,
    kill: () => end("SIGKILL"),
    restart: async () => {
      await end("SIGKILL");
      child = await launch(port);
    },
    freeze: () => child?.kill("SIGSTOP"),
    thaw: () => child?.kill("SIGCONT"),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function launch(port: number): Promise<Deno.ChildProcess> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("redis-server", {
      args: ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw missingComponent("Redis", "apt-get install redis-server");
  }
  const deadline = Date.now() + START_LIMIT_MS;
  while (!await answers(port)) {
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      await child.status;
      throw new CodedError("TEST_REDIS", `Cannot start Redis: port ${port} does not answer`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (data: Uint8Array) => {
      resolve(new TextDecoder().decode(data).startsWith("+PONG"));
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
  });
}

defineErrors({
  TEST_REDIS: { fault: "installation", retry: true, next: "Free the port, or look at what the server says." },
});
