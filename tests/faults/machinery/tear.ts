/** A card that is torn at one APDU, as a channel: the engine sees what a reader would tell it, nothing more. */

import { CodedError } from "shared/base/errors.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import "shared/transport/card_channel.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";

/**
 * - `removed-before`: the card is gone before the command arrives.
 * - `removed-after`: the card has executed and stored; it is gone before its answer leaves.
 * - `reset-in-place`: the card has executed; its answer is lost, and the reader resets the card, which stays there.
 * - `answer-cut`: the answer arrives without its last bytes.
 * - `answer-garbled`: one bit of the answer arrives changed.
 */
export const TEAR_KINDS = [
  "removed-before",
  "removed-after",
  "reset-in-place",
  "answer-cut",
  "answer-garbled",
] as const;
/** One of `TEAR_KINDS`. */
export type TearKind = (typeof TEAR_KINDS)[number];

/** One tear. */
export interface Tear {
  readonly kind: TearKind;
  /** APDU of the presentation, from 0. */
  readonly index: number;
  /** Which bytes an `answer-` kind changes; any whole number from 0. */
  readonly position: number;
}

/** A card on a reader. */
export interface TornChannel extends CardChannel {
  /** APDUs that were sent so far. */
  readonly sent: number;
  /** Whether the tear has happened. */
  readonly torn: boolean;
}

/** Called with each command, in order, before it is sent. */
export type Observer = (command: Uint8Array, index: number) => void;

/** Puts a card on a channel that tears once, or never. */
export function tornChannel(card: VirtualCard, tear?: Tear, observe: Observer = () => {}): TornChannel {
  const channel = openInProcessChannel(card);
  const state = { sent: 0, torn: false };
  return {
    get sent() {
      return state.sent;
    },
    get torn() {
      return state.torn;
    },
    atr: channel.atr,
    reset: () => channel.reset(),
    close: () => channel.close(),
    async transmit(command) {
      const index = state.sent++;
      observe(command, index);
      if (tear === undefined || index !== tear.index) return await channel.transmit(command);
      state.torn = true;
      if (tear.kind === "removed-before") {
        channel.remove();
        return await channel.transmit(command);
      }
      const answer = await channel.transmit(command);
      if (tear.kind === "removed-after") {
        channel.remove();
        throw new CodedError("CARD_REMOVED", "Cannot transmit: the card has left the reader");
      }
      if (tear.kind === "reset-in-place") {
        await channel.reset();
        throw new CodedError("CARD_NO_ANSWER", "Cannot transmit: the card was reset");
      }
      return tear.kind === "answer-cut" ? cut(answer, tear.position) : garbled(answer, tear.position);
    },
  };
}

/** Without its last 1 to n bytes: the status word is always hurt. */
function cut(answer: Uint8Array, position: number): Uint8Array {
  return answer.slice(0, answer.length - 1 - position % answer.length);
}

function garbled(answer: Uint8Array, position: number): Uint8Array {
  const at = Math.floor(position / 8) % answer.length;
  return answer.with(at, answer[at]! ^ (1 << position % 8));
}
