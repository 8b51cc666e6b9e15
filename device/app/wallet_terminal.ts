/** A person at a terminal: secrets are typed without echo, words go to standard error. */

import { equalConstantTime, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { Confirmation, Person, SecretName } from "../wallet/person.ts";
import { ACTION_WORDS, confirmationWords, noticeWords, secretWords } from "./wallet_words.ts";

/** What this needs of a terminal; `Deno.stdin` has it. */
export interface Keyboard {
  setRaw(mode: boolean, options?: { cbreak: boolean }): void;
  read(buffer: Uint8Array): Promise<number | null>;
}

/** Longest line, in bytes: 24 words of 8 letters. */
export const LINE_MAX_BYTES = 512;

const ENTER: readonly number[] = [0x0a, 0x0d];
const ERASE: readonly number[] = [0x08, 0x7f];
const INTERRUPT = 0x03;
const END_OF_INPUT = 0x04;
const ERASE_LINE = 0x15;
const FIRST_PRINTABLE = 0x20;
const NEW_SECRETS: readonly SecretName[] = ["newWalletPin", "newCardPin"];

/**
 * Keeps the terminal from echoing for a whole run, so that a PIN that is typed too early is not shown either. Ctrl-C stays a
 * signal.
 */
export async function withQuietTerminal<T>(keyboard: Keyboard, work: () => Promise<T>): Promise<T> {
  keyboard.setRaw(true, { cbreak: true });
  try {
    return await work();
  } finally {
    keyboard.setRaw(false);
  }
}

/** Makes the person; the terminal is quiet already. @param confirmed answers that were given on the command line. */
export function terminalPerson(
  keyboard: Keyboard,
  write: (text: string) => void,
  confirmed: ReadonlySet<Confirmation>,
): Person {
  const lines = new LineReader(keyboard, write);
  const ask = async (question: string): Promise<string> => {
    using typed = await lines.read(`${question} `, true);
    return new TextDecoder().decode(typed.reveal()).trim().toLowerCase();
  };
  return {
    canRetry: true,
    tell: (notice) => write(`${noticeWords(notice)}\n`),
    async secret(name, about) {
      for (;;) {
        const first = await lines.read(`${secretWords(name, about)}: `, false);
        if (!NEW_SECRETS.includes(name)) return first;
        using second = await lines.read("  The same once more: ", false);
        if (equalConstantTime(first.reveal(), second.reveal())) return first;
        first.wipe();
        write("  The two were not the same.\n");
      }
    },
    async confirm(what, about) {
      if (confirmed.has(what)) return true;
      return await ask(`${confirmationWords(what, about)} Type yes or no:`) === "yes";
    },
    async choose(question, options) {
      for (;;) {
        const list = options.map((option, i) => `\n  ${i + 1}  ${ACTION_WORDS[option] ?? option}`).join("");
        const answer = await ask(`${question}${list}\nNumber:`);
        const chosen = options.find((option, i) => answer === option || answer === `${i + 1}`);
        if (chosen !== undefined) return chosen;
      }
    },
    async text(question) {
      using typed = await lines.read(`${question}: `, true);
      return new TextDecoder().decode(typed.reveal()).trim();
    },
  };
}

/** Lines from a quiet keyboard. What was typed ahead is kept for the next question, and wiped as it is used. */
class LineReader {
  readonly #keyboard: Keyboard;
  readonly #write: (text: string) => void;
  #ahead = new Uint8Array(0);

  constructor(keyboard: Keyboard, write: (text: string) => void) {
    this.#keyboard = keyboard;
    this.#write = write;
  }

  async read(question: string, echo: boolean): Promise<Secret> {
    this.#write(question);
    const line = new Uint8Array(LINE_MAX_BYTES);
    let length = 0;
    try {
      for (;;) {
        const byte = await this.#next();
        if (byte === undefined || byte === INTERRUPT || (byte === END_OF_INPUT && length === 0)) {
          throw new CodedError("WALLET_CANCELLED", "Stopped: the question was not answered");
        }
        if (ENTER.includes(byte)) return new Secret(line.slice(0, length));
        if (ERASE.includes(byte) && length > 0) {
          length--;
          if (echo) this.#write("\b \b");
        } else if (byte === ERASE_LINE) {
          if (echo) this.#write("\b \b".repeat(length));
          length = 0;
        } else if (byte >= FIRST_PRINTABLE && !ERASE.includes(byte) && length < LINE_MAX_BYTES) {
          line[length++] = byte;
          if (echo) this.#write(String.fromCharCode(byte));
        }
      }
    } finally {
      this.#write("\n");
      line.fill(0);
    }
  }

  async #next(): Promise<number | undefined> {
    if (this.#ahead.length === 0) {
      const buffer = new Uint8Array(LINE_MAX_BYTES);
      const read = await this.#keyboard.read(buffer);
      if (read === null) return undefined;
      this.#ahead = buffer.subarray(0, read);
    }
    const byte = this.#ahead[0];
    this.#ahead[0] = 0;
    this.#ahead = this.#ahead.subarray(1);
    return byte;
  }
}

/** Writes a text to standard error, whole. */
export function writeError(text: string): void {
  const bytes = toUtf8(text);
  for (let written = 0; written < bytes.length;) written += Deno.stderr.writeSync(bytes.subarray(written));
}
