/** A process of ours in the foreground: its input, output and exit code are the command's. */

import { DENO, REPOSITORY } from "../home.ts";
import { type ChildSpec, commandLine, environment } from "./child.ts";

/**
 * Runs a process until it ends and returns its exit code. Signals that a terminal or a supervisor sends to `rk` are handed
 * on, so that the process can end in order.
 * @param input what it reads from standard input, instead of ours: keys that came through a descriptor. It is wiped.
 */
export async function runForeground(
  spec: Omit<ChildSpec, "logFile" | "readyTimeoutMs">,
  input?: Uint8Array,
): Promise<number> {
  const child = new Deno.Command(DENO, {
    args: commandLine(spec),
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: input === undefined ? "inherit" : "piped",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const hand = (name: Deno.Signal) => () => {
    try {
      child.kill(name);
    } catch {
      // It has ended already.
    }
  };
  const handlers = (["SIGTERM", "SIGINT"] as const).map((name) => [name, hand(name)] as const);
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  try {
    if (input !== undefined) await feed(child, input);
    return (await child.status).code;
  } finally {
    for (const [name, handler] of handlers) Deno.removeSignalListener(name, handler);
  }
}

async function feed(child: Deno.ChildProcess, input: Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch {
    // It ended without reading; its exit code tells why.
  } finally {
    input.fill(0);
  }
}

/** Runs a process of ours to its end and returns what it printed. */
export async function runCollected(
  spec: Omit<ChildSpec, "logFile" | "readyTimeoutMs">,
): Promise<{ code: number; output: string; errors: string }> {
  const { code, stdout, stderr } = await new Deno.Command(DENO, {
    args: commandLine(spec),
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout), errors: decoder.decode(stderr) };
}
