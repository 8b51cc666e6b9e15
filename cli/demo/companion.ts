/** `rk wallet recover` run by a program: its steps are told, and its questions for an identity verification answered. */

import { recoverSpec } from "../commands/wallet_recover.ts";
import { type LinesRun, runJsonLines } from "./json_lines.ts";

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

/** Runs the command to its end. */
export async function runCompanion(
  verb: "backup" | "restore" | "delete",
  options: Parameters<typeof recoverSpec>[1],
  person: CompanionPerson,
): Promise<LinesRun> {
  return await runJsonLines(recoverSpec(verb, { ...options, json: true }), async (line, { write }) => {
    if (line.event === "verify") {
      await write(`${await person.verify(line as unknown as AskedVerification)}\n`);
    } else if (line.event === "step") {
      await person.onStep?.(line as unknown as { phase: string; provider: string | null });
    }
  });
}
