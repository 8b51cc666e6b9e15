/** The wallet's own PIN comes first: asked, or chosen when the wallet is new. */

import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import type { Person, SecretName } from "./person.ts";
import { readPin } from "./pin.ts";
import type { Wallet } from "./wallet.ts";
import "./errors.ts";

/** Asks for a PIN; the caller wipes it. @throws {CodedError} `WALLET_PIN_RULE` and those of the person. */
export async function askPin(
  person: Person,
  name: SecretName,
  about: Parameters<Person["secret"]>[1],
): Promise<Secret> {
  for (;;) {
    using typed = await person.secret(name, about);
    try {
      return readPin(typed);
    } catch (error) {
      if (!person.canRetry || !(error instanceof CodedError) || error.code !== "WALLET_PIN_RULE") throw error;
      person.tell({ kind: "pin-rule" });
    }
  }
}

/**
 * Opens the wallet, or makes it when there is none and `mayCreate`. The last try is confirmed first: a wrong PIN then erases.
 * @throws {CodedError} `WALLET_NOT_SET_UP`, `WALLET_PIN_WRONG`, `WALLET_ERASED` and those of the person.
 */
export async function unlockWallet(
  wallet: Wallet,
  person: Person,
  { mayCreate }: { readonly mayCreate: boolean },
): Promise<void> {
  if (wallet.isUnlocked) return;
  if (!wallet.exists) {
    if (!mayCreate) throw new CodedError("WALLET_NOT_SET_UP", "Cannot open wallet: there is none yet");
    using pin = await askPin(person, "newWalletPin", {});
    await wallet.create(pin);
    return;
  }
  for (;;) {
    const { triesLeft } = wallet;
    if (triesLeft === 1 && !await person.confirm("last-try", { triesLeft })) {
      throw new CodedError("WALLET_CANCELLED", "Stopped: the last try was not confirmed");
    }
    using pin = await askPin(person, "walletPin", { triesLeft });
    try {
      await wallet.unlock(pin);
      return;
    } catch (error) {
      if (!person.canRetry || !(error instanceof CodedError) || error.code !== "WALLET_PIN_WRONG") {
        throw error;
      }
      person.tell({ kind: "pin-wrong", whose: "wallet", triesLeft: wallet.triesLeft });
    }
  }
}
