/**
 * The wallet: a seed behind a PIN of its own, or none yet. Nothing of it is readable before the PIN; the third wrong PIN
 * erases it. What is written is read back and compared before anyone is told that it is there.
 */

import { CodedError } from "shared/base/errors.ts";
import type { Secret } from "shared/base/secret.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { type WordCount, wordCountOf } from "./mnemonic.ts";
import {
  deriveWalletKey,
  newScrypt,
  openWallet,
  sealWallet,
  WALLET_PIN_TRIES,
  WALLET_SCRYPT,
  type WalletContent,
  type WalletFile,
} from "./wallet_file.ts";
import type { WalletStore } from "./wallet_store.ts";
import "./errors.ts";

/** What anyone may know of an unlocked wallet. */
export interface WalletFacts {
  readonly empty: boolean;
  /** Words of its seed; null when it is empty. */
  readonly words: WordCount | null;
}

interface Unlocked {
  readonly key: Secret;
  readonly scrypt: WalletFile["scrypt"];
  content: WalletContent;
}

/** One wallet. */
export class Wallet {
  readonly #store: WalletStore;
  readonly #random: RandomSource;
  readonly #scryptN: number;
  #unlocked: Unlocked | undefined;

  /** @param scryptN cost of a PIN; less than the default in tests only. */
  constructor(store: WalletStore, random: RandomSource, scryptN: number = WALLET_SCRYPT.N) {
    this.#store = store;
    this.#random = random;
    this.#scryptN = scryptN;
  }

  /** Whether it was ever set up: it has a PIN. */
  get exists(): boolean {
    return this.#store.load() !== undefined;
  }

  /** Tries of its PIN that are left; 3 when it was never set up. */
  get triesLeft(): number {
    return this.#store.load()?.triesLeft ?? WALLET_PIN_TRIES;
  }

  /** Whether the right PIN was given. */
  get isUnlocked(): boolean {
    return this.#unlocked !== undefined;
  }

  /**
   * Makes an empty wallet with this PIN, unlocked.
   * @param pin one byte of 0 to 9 for each digit; it stays with the caller.
   * @throws {CodedError} `WALLET_HAS_SEED` when there is a wallet, `WALLET_WRITE`.
   */
  async create(pin: Secret): Promise<void> {
    if (this.exists) throw new CodedError("WALLET_HAS_SEED", "Cannot make wallet: there is one in this file");
    const scrypt = newScrypt(this.#random, this.#scryptN);
    const key = await deriveWalletKey(pin, scrypt);
    this.#unlocked = { key, scrypt, content: { entropy: undefined, pendingBackup: undefined } };
    this.#write(this.#unlocked.content);
  }

  /**
   * Opens the wallet. The try is spent, on the disk, before the PIN is looked at.
   * @throws {CodedError} `WALLET_NOT_SET_UP`, `WALLET_PIN_WRONG` (details.triesLeft), `WALLET_ERASED`.
   */
  async unlock(pin: Secret): Promise<void> {
    this.lock();
    const file = this.#store.load();
    if (file === undefined) {
      throw new CodedError("WALLET_NOT_SET_UP", "Cannot open wallet: there is none yet");
    }
    // A crash between the last try and the erasure ends here.
    if (file.triesLeft === 0) throw this.#eraseForPin();
    this.#store.save({ ...file, triesLeft: file.triesLeft - 1 });
    const key = await deriveWalletKey(pin, file.scrypt);
    let content: WalletContent | undefined;
    try {
      content = openWallet(key, file, this.#store.path);
    } finally {
      if (content === undefined) key.wipe();
    }
    if (content === undefined) {
      const triesLeft = file.triesLeft - 1;
      if (triesLeft === 0) throw this.#eraseForPin();
      throw new CodedError("WALLET_PIN_WRONG", `Cannot open wallet: wrong PIN, ${tries(triesLeft)} left`, {
        triesLeft,
      });
    }
    this.#store.save({ ...file, triesLeft: WALLET_PIN_TRIES });
    this.#unlocked = { key, scrypt: file.scrypt, content };
  }

  /** What it is. @throws {CodedError} `WALLET_NOT_SET_UP` while it is locked. */
  get facts(): WalletFacts {
    const { entropy } = this.#open().content;
    return {
      empty: entropy === undefined,
      words: entropy === undefined ? null : wordCountOf(entropy.length),
    };
  }

  /** Its entropy, not a copy: do not keep or wipe it. @throws {CodedError} `WALLET_NO_SEED`, `WALLET_NOT_SET_UP`. */
  get entropy(): Secret {
    const { entropy } = this.#open().content;
    if (entropy === undefined) throw new CodedError("WALLET_NO_SEED", "Cannot use wallet: it has no seed");
    return entropy;
  }

  /** Card on which a backup was begun and not yet found good. */
  get pendingBackup(): string | undefined {
    return this.#open().content.pendingBackup;
  }

  /** Notes such a card, or forgets it. */
  notePendingBackup(serial: string | undefined): void {
    const unlocked = this.#open();
    if (unlocked.content.pendingBackup === serial) return;
    this.#write({ ...unlocked.content, pendingBackup: serial });
  }

  /**
   * Takes a seed into an empty wallet: takes ownership of `entropy`, whether it succeeds or not.
   * @throws {CodedError} `WALLET_HAS_SEED`, `WALLET_WRITE`.
   */
  takeSeed(entropy: Secret): void {
    try {
      const { content } = this.#open();
      if (content.entropy !== undefined) {
        throw new CodedError("WALLET_HAS_SEED", "Cannot take seed: the wallet has one");
      }
      this.#write({ ...content, entropy });
    } catch (error) {
      entropy.wipe();
      throw error;
    }
  }

  /** Erases it: seed, PIN and file. */
  erase(): void {
    this.lock();
    this.#store.erase();
  }

  /** Forgets what the PIN opened. */
  lock(): void {
    this.#unlocked?.key.wipe();
    this.#unlocked?.content.entropy?.wipe();
    this.#unlocked = undefined;
  }

  /** Locks it and lets its file go. */
  close(): void {
    this.lock();
    this.#store.close();
  }

  #open(): Unlocked {
    if (this.#unlocked === undefined) {
      throw new CodedError("WALLET_NOT_SET_UP", "Cannot use wallet: its PIN was not given");
    }
    return this.#unlocked;
  }

  #write(content: WalletContent): void {
    const unlocked = this.#open();
    this.#store.save(sealWallet(unlocked.key, unlocked.scrypt, content, this.#random));
    const stored = this.#store.load();
    const read = stored && openWallet(unlocked.key, stored, this.#store.path);
    const same = read !== undefined && read.pendingBackup === content.pendingBackup &&
      (read.entropy === undefined
        ? content.entropy === undefined
        : content.entropy !== undefined && read.entropy.equals(content.entropy));
    read?.entropy?.wipe();
    if (!same) throw new CodedError("WALLET_WRITE", "Cannot write wallet: it reads back otherwise");
    unlocked.content = content;
  }

  #eraseForPin(): CodedError {
    this.erase();
    return new CodedError("WALLET_ERASED", "Cannot open wallet: no try was left, it is erased");
  }
}

/** `1 try`, `2 tries`. */
export function tries(count: number): string {
  return count === 1 ? "1 try" : `${count} tries`;
}
