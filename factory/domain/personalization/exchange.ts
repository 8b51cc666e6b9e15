/** Commands and checks of a step, as data: what is sent, which status words are right, and what the answer must say. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { describeStatus, formatStatus, SW } from "shared/protocol/apdu/status_words.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import type { Profile } from "../profile.ts";
import type { CardFacts } from "./facts.ts";
import "./errors.ts";

/** What a step may use besides the facts. */
export interface StepTools {
  /** Encryption of key material by the open channel's static DEK. */
  encryptWithDek(data: Uint8Array): Uint8Array;
  /** Draws a key set at random. */
  randomKeys(lengthBytes: number): StaticKeys;
}

/** One command of a step. */
export interface Exchange {
  /** What the command is called in messages. */
  readonly name: string;
  readonly command: CommandApdu;
  /** Status words that are no failure; default `9000` alone. */
  readonly accept?: readonly number[];
  /** Checks the answer and adds to the facts. */
  readonly check?: (answer: ResponseApdu, facts: CardFacts) => unknown;
}

/** Builds the commands of a step from what is known. */
export type Exchanges = (facts: CardFacts, profile: Profile, tools: StepTools) => readonly Exchange[];

/** Accepts or refuses an answer. @throws {CodedError} `CARD_STATUS_WORD`, and those of the exchange's check. */
export function checkAnswer(exchange: Exchange, answer: ResponseApdu, facts: CardFacts): void {
  if (!(exchange.accept ?? [SW.OK]).includes(answer.sw)) {
    throw new CodedError(
      "CARD_STATUS_WORD",
      `Cannot ${exchange.name}: the card answers ${formatStatus(answer.sw)}, ${describeStatus(answer.sw)}`,
      { sw: formatStatus(answer.sw) },
    );
  }
  exchange.check?.(answer, facts);
}

/** The fact, or a fault of ours when the sequence asks for it too early. */
export function known<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CodedError("INTERNAL", `Cannot go on: ${what} is not known yet`);
  return value;
}

/** Refuses data where none belongs. */
export function expectData(answer: ResponseApdu, expected: Uint8Array, what: string): void {
  if (toHex(answer.data) !== toHex(expected)) {
    throw new CodedError(
      "CARD_ANSWER",
      `Cannot accept answer to ${what}: ${answer.data.length} bytes that mean nothing`,
    );
  }
}
