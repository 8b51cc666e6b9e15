/** `rk wallet recover` run by a program: its steps are told, and its questions for an identity verification answered. */

import { recoverSpec } from "../commands/wallet_recover.ts";
import { DENO, REPOSITORY } from "../home.ts";
import { commandLine, environment } from "../process/child.ts";

/** A verification that a provider asks for. */
export interface AskedVerification {
  readonly provider: string;
  /** 32 bytes, hex. */
  readonly nonce: string;
  /** Whether the verifier asks the four digits that the device shows. */
  readonly securityCode: boolean;
}

/** What the person with the companion does. */
export interface CompanionPerson {
  /** Has the identity verified. @returns the sealed result. */
  verify(asked: AskedVerification): Promise<string>;
  /** Told of each step before the device does it. */
  onStep?(step: { readonly phase: string; readonly provider: string | null }): Promise<void> | void;
}

/** How the command ended. */
export interface CompanionRun {
  readonly code: number;
  /** The last line of its output. */
  readonly last: Readonly<Record<string, unknown>>;
  readonly errors: string;
}

/** Runs the command to its end. */
export async function runCompanion(
  verb: "backup" | "restore" | "delete",
  options: Parameters<typeof recoverSpec>[1],
  person: CompanionPerson,
): Promise<CompanionRun> {
  const spec = recoverSpec(verb, { ...options, json: true });
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
  const input = child.stdin.getWriter();
  let last: Record<string, unknown> = {};
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      last = JSON.parse(line);
      if (last["event"] === "verify") {
        const result = await person.verify(last as unknown as AskedVerification);
        await input.write(new TextEncoder().encode(`${result}\n`));
      } else if (last["event"] === "step") {
        await person.onStep?.(last as unknown as { phase: string; provider: string | null });
      }
    }
  }
  const { code } = await child.status;
  await input.close().catch(() => {});
  return { code, last, errors: await errors };
}
