/** What the wallet's commands give programs: one JSON object with stable keys. */

import { codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { seedFingerprint } from "../wallet/mnemonic.ts";
import type { FlowName } from "../wallet/flows.ts";
import type { FlowOutcome } from "../wallet/run_flow.ts";
import type { Wallet } from "../wallet/wallet.ts";

/** The wallet, as far as it may be told. */
export interface WalletResult {
  readonly exists: boolean;
  readonly unlocked: boolean;
  readonly pinTriesLeft: number;
  /** Null while it is locked. */
  readonly empty: boolean | null;
  readonly words: number | null;
  /** Master key fingerprint of its words without passphrase. */
  readonly fingerprint: string | null;
  /** Serial of a card whose backup did not finish. */
  readonly pendingBackup: string | null;
}

/** Looks at a wallet. */
export function walletResult(wallet: Wallet): WalletResult {
  const facts = wallet.isUnlocked ? wallet.facts : undefined;
  return {
    exists: wallet.exists,
    unlocked: wallet.isUnlocked,
    pinTriesLeft: wallet.triesLeft,
    empty: facts?.empty ?? null,
    words: facts?.words ?? null,
    fingerprint: facts && !facts.empty ? seedFingerprint(wallet.entropy) : null,
    pendingBackup: facts ? wallet.pendingBackup ?? null : null,
  };
}

/** Result of a flow: `done`, what was seen, and the failure if there is one. */
export function flowResult(command: FlowName, outcome: FlowOutcome, wallet: Wallet): Record<string, unknown> {
  const { end, state, card, matches, taps, apdus, milliseconds, error } = outcome;
  return {
    command,
    done: end === "done",
    end,
    card,
    matches,
    wallet: walletResult(wallet),
    taps,
    apdus,
    milliseconds,
    ...(end === "done" ? {} : { state, ...failure(error) }),
  };
}

/** Keys of a failure: code, message, next, exitCode. */
export function failure(error: unknown): { code: string; message: string; next: string; exitCode: number } {
  const code = codeOf(error);
  const { fault, next } = errorRow(code);
  const message = error instanceof Error ? error.message : String(error);
  return { code, message, next, exitCode: EXIT_CODES[fault] };
}
