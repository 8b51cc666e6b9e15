/** A process run by the demo: it prints one JSON object a line, and is answered on its standard input. */

import { toUtf8 } from "shared/base/bytes.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { type ChildSpec, commandLine, environment } from "../process/child.ts";

/** A line of a process. */
export type Line = Readonly<Record<string, unknown>>;

/** What can be done with a process while it runs. */
export interface ProcessHands {
  /** Writes to its standard input. */
  write(text: string): Promise<void>;
  /** SIGKILL. */
  kill(): void;
}

/** How a process ended. */
export interface LinesRun {
  readonly code: number;
  /** The last line of its output. */
  readonly last: Line;
  /** What it wrote on standard error. */
  readonly errors: string;
}

/**
 * Runs a process to its end.
 * @param onLine told each line; the next one waits for it.
 * @param input all of its standard input; when it is left out, the input stays open for `write`.
 */
export async function runJsonLines(
  spec: Omit<ChildSpec, "logFile">,
  onLine: (line: Line, hands: ProcessHands) => Promise<void> | void,
  input?: string,
): Promise<LinesRun> {
  const child = new Deno.Command(DENO, {
    args: commandLine(spec),
    cwd: REPOSITORY,
    env: environment(spec),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const writer = child.stdin.getWriter();
  const hands: ProcessHands = {
    write: (text) => writer.write(toUtf8(text)),
    kill: () => child.kill("SIGKILL"),
  };
  if (input !== undefined) {
    await hands.write(input);
    await writer.close();
  }
  let last: Line = {};
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      last = JSON.parse(line) as Line;
      await onLine(last, hands);
    }
  }
  const { code } = await child.status;
  await writer.close().catch(() => {});
  return { code, last, errors: await errors };
}
