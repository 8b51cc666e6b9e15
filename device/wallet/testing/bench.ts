/** A wallet, a reader in this process and cards on it: for tests. */

import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { FaultPlan } from "../../card/fault_plan.ts";
import { openInProcessChannel } from "../../card/in_process_channel.ts";
import type { VirtualCard } from "../../card/virtual_card.ts";
import type { FlowOptions } from "../flow_context.ts";
import type { FlowName } from "../flows.ts";
import { type FlowOutcome, runFlow } from "../run_flow.ts";
import type { WalletTrust } from "../trust.ts";
import { Wallet } from "../wallet.ts";
import { WALLET_SCRYPT_MIN_N } from "../wallet_file.ts";
import { memoryWalletStore, type WalletStore } from "../wallet_store.ts";
import { type Script, type ScriptedPerson, scriptedPerson } from "./scripted_person.ts";

/** PIN of wallets made here. */
export const WALLET_PIN = "1357";
/** PIN of cards made here. */
export const CARD_PIN = "24680";
/** Entropy (hex) of wallets made here, one of each length. */
export const ENTROPIES = ["A1".repeat(16), "B2".repeat(24), "C3".repeat(32)] as const;

/** An unlocked wallet; `entropy` (hex) null: empty. */
export async function testWallet(
  entropy: string | null = ENTROPIES[2],
  store: WalletStore = memoryWalletStore(),
): Promise<Wallet> {
  const wallet = new Wallet(store, SYSTEM_RANDOM, WALLET_SCRYPT_MIN_N);
  using pin = new Secret(fromHex([...WALLET_PIN].map((digit) => `0${digit}`).join("")));
  await wallet.create(pin);
  if (entropy !== null) wallet.takeSeed(new Secret(fromHex(entropy)));
  return wallet;
}

/** A run for tests: what differs from the usual answers. */
export interface TestRun extends Script, Partial<Pick<FlowOptions, "name" | "action" | "compare">> {
  readonly wallet: Wallet;
  readonly trust: WalletTrust;
  /** Card of each tap; the last one stays. */
  readonly cards: readonly VirtualCard[];
  /** Removals, by tap. */
  readonly faults?: readonly FaultPlan[];
  /** Stands between wallet and card. */
  readonly intercept?: (channel: CardChannel, tap: number) => CardChannel;
}

/** Runs a flow with the usual PINs. */
export async function testFlow(
  flow: FlowName,
  run: TestRun,
): Promise<FlowOutcome & { readonly person: ScriptedPerson }> {
  const person = scriptedPerson({
    ...run,
    secrets: { walletPin: WALLET_PIN, cardPin: CARD_PIN, newCardPin: CARD_PIN, ...run.secrets },
  });
  let tap = 0;
  const outcome = await runFlow({
    flow,
    wallet: run.wallet,
    person,
    trust: run.trust,
    random: SYSTEM_RANDOM,
    connect: () => {
      const card = run.cards[Math.min(tap, run.cards.length - 1)]!;
      const channel = openInProcessChannel(card, { faultPlan: run.faults?.[tap] ?? [] });
      tap++;
      return Promise.resolve(run.intercept?.(channel, tap) ?? channel);
    },
    ...(run.name === undefined ? {} : { name: run.name }),
    ...(run.action === undefined ? {} : { action: run.action }),
    ...(run.compare === undefined ? {} : { compare: run.compare }),
  });
  return { ...outcome, person };
}
