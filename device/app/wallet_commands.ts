/** The wallet's commands over its own file, and those with a card. */

import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { drawEntropy, readWords, wordsOf } from "../wallet/mnemonic.ts";
import { type FlowName, FLOWS } from "../wallet/flows.ts";
import type { Person } from "../wallet/person.ts";
import { type FlowOutcome, runFlow } from "../wallet/run_flow.ts";
import { readTrustFile, wipeTrust } from "../wallet/trust.ts";
import { unlockWallet } from "../wallet/unlock.ts";
import type { Wallet } from "../wallet/wallet.ts";
import type { WalletOptions } from "./wallet_options.ts";
import { openReader } from "./wallet_readers.ts";
import { failure, flowResult, walletResult } from "./wallet_results.ts";
import { cardWords } from "./wallet_words.ts";

/** Where a command's output goes. */
export interface WalletOutput {
  /** For people. */
  readonly say: (text: string) => void;
  /** The result, with `--json`. */
  readonly result: (value: Record<string, unknown>) => void;
  /** Secrets for a person's eyes; undefined unless standard output is a terminal. */
  readonly screen: ((text: string) => void) | undefined;
}

/** One command's run. */
export type WalletRun = (
  options: WalletOptions,
  wallet: Wallet,
  person: Person,
  output: WalletOutput,
) => Promise<number>;

/** A new wallet: empty, with a new seed, or with words that are typed. */
const setup: WalletRun = async (options, wallet, person, output) => {
  if (options.words !== undefined && options.import) {
    throw new CodedError("WALLET_USAGE", "Cannot set up wallet: give --words or --import, not both");
  }
  await unlockWallet(wallet, person, { mayCreate: true });
  if (options.words !== undefined) wallet.takeSeed(drawEntropy(options.words, SYSTEM_RANDOM));
  if (options.import) {
    if (!wallet.facts.empty) {
      throw new CodedError("WALLET_HAS_SEED", "Cannot take words: the wallet has a seed");
    }
    using typed = await person.secret("words", {});
    wallet.takeSeed(readWords(typed));
  }
  const { words, fingerprint } = walletResult(wallet);
  output.say(
    words === null
      ? "The wallet has its PIN and no seed: `rk wallet restore` takes one from a card."
      : `The wallet has a seed of ${words} words, fingerprint ${fingerprint}. \`rk wallet backup\` puts it on a card.`,
  );
  output.result({ command: "setup", done: true, wallet: walletResult(wallet) });
  return EXIT_CODES.ok;
};

/** What it is; with its PIN when it is there to be asked. */
const status: WalletRun = async (_options, wallet, person, output) => {
  if (wallet.exists) await unlockWallet(wallet, person, { mayCreate: false });
  const found = walletResult(wallet);
  output.say(
    !found.exists
      ? "There is no wallet in this file yet."
      : found.empty
      ? "The wallet is empty: it has its PIN and no seed."
      : `The wallet has a seed of ${found.words} words, fingerprint ${found.fingerprint}.`,
  );
  if (found.pendingBackup) {
    output.say(`A backup to card ${found.pendingBackup} did not finish: run it again.`);
  }
  output.result({ command: "status", done: true, wallet: found });
  return EXIT_CODES.ok;
};

/** Shows the words, on a terminal only. */
const words: WalletRun = async (_options, wallet, person, output) => {
  if (output.screen === undefined) {
    throw new CodedError("WALLET_USAGE", "Cannot show words: standard output is no terminal");
  }
  await unlockWallet(wallet, person, { mayCreate: false });
  using secret = wordsOf(wallet.entropy);
  const list = new TextDecoder().decode(secret.reveal()).split(" ");
  output.screen(list.map((word, i) => `${`${i + 1}`.padStart(2)}  ${word}`).join("\n"));
  output.result({ command: "words", done: true, wallet: walletResult(wallet) });
  return EXIT_CODES.ok;
};

/** Erases the wallet, after its PIN and a yes. */
const erase: WalletRun = async (_options, wallet, person, output) => {
  await unlockWallet(wallet, person, { mayCreate: false });
  if (!await person.confirm("erase-wallet", {})) {
    throw new CodedError("WALLET_CANCELLED", "Stopped: it was not confirmed");
  }
  wallet.erase();
  output.say("The wallet is erased.");
  output.result({ command: "erase", done: true, wallet: walletResult(wallet) });
  return EXIT_CODES.ok;
};

const withCard: WalletRun = async (options, wallet, person, output) => {
  const flow = options.command as FlowName;
  const trust = readTrustFile(options.trust!);
  try {
    const { reader, virtualReaders } = options;
    const opened = await openReader({
      reader: reader!,
      ...(virtualReaders === undefined ? {} : { virtualReaders }),
    });
    try {
      const outcome = await runFlow({
        flow,
        wallet,
        person,
        trust,
        random: SYSTEM_RANDOM,
        connect: () => opened.connect(options.waitMs),
        compare: options.compare,
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.action === undefined ? {} : { action: options.action }),
      });
      output.result(flowResult(flow, outcome, wallet));
      if (outcome.end === "done") {
        output.say(doneWords(flow, outcome, wallet));
        return EXIT_CODES.ok;
      }
      const { message, next, exitCode } = failure(outcome.error);
      output.say(`wallet: ${message}\n    ${next}`);
      if (outcome.card) output.say(`    Last seen: ${cardWords(outcome.card)}.`);
      return exitCode;
    } finally {
      await opened.close();
    }
  } finally {
    wipeTrust(trust);
  }
};

function doneWords(flow: FlowName, { card, matches }: FlowOutcome, wallet: Wallet): string {
  const words = `Card ${cardWords(card!)}.`;
  if (flow === "backup") return `DONE. The seed is written, read back and compared. ${words}`;
  if (flow === "restore") {
    return `DONE. The wallet has the card's seed of ${walletResult(wallet).words} words. ${words}`;
  }
  const seed = matches === null
    ? ""
    : matches
    ? " It holds this wallet's seed."
    : " It holds ANOTHER seed than this wallet.";
  return `${flow === "manage" ? "DONE. " : ""}${words}${seed}`;
}

/** Commands by name; those of the flows are one. */
export const WALLET_RUNS: Readonly<Record<string, WalletRun>> = {
  setup,
  status,
  words,
  erase,
  ...Object.fromEntries(Object.keys(FLOWS).map((flow) => [flow, withCard])),
};
