/** A process of ours in the foreground: its input, output and exit code are the command's. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { type ChildSpec, commandLine, environment } from "./child.ts";

/**
 * Runs a process until it ends and returns its exit code. Signals that a terminal or a supervisor sends to `rk` are handed
 * on, so that the process can end in order.
 * @param stdinFrom open descriptor (0 to 9) that becomes the process's standard input.
 */
export async function runForeground(
  spec: Omit<ChildSpec, "logFile" | "readyTimeoutMs">,
  { stdinFrom }: { readonly stdinFrom?: number } = {},
): Promise<number> {
  // The shell connects the descriptor: this process never reads what is in it.
  const [program, ...first] = stdinFrom === undefined
    ? [DENO]
    : ["/bin/sh", "-c", `exec "$@" <&${stdinFrom}`, "sh", DENO];
  const child = new Deno.Command(program!, {
    args: [...first, ...commandLine(spec)],
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "inherit",
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
  const handlers = (["SIGTERM", "SIGINT", "SIGHUP"] as const).map((name) => [name, hand(name)] as const);
  for (const [name, handler] of handlers) Deno.addSignalListener(name, handler);
  try {
    return (await child.status).code;
  } finally {
    for (const [name, handler] of handlers) Deno.removeSignalListener(name, handler);
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

/** Runs a process of ours that prints one JSON object, and reads it. @throws {CodedError} `CHILD_FAILED` with what it said. */
export async function printedBy<T>(spec: Omit<ChildSpec, "logFile" | "readyTimeoutMs">): Promise<T> {
  const { code, output, errors } = await runCollected(spec);
  if (code !== 0) {
    throw new CodedError("CHILD_FAILED", `Cannot run ${spec.name} ${spec.args[0]}: ${errors.trimEnd()}`);
  }
  return JSON.parse(output) as T;
}

defineErrors({
  CHILD_FAILED: { fault: "service", retry: true, next: "The lines above say what is missing." },
});
