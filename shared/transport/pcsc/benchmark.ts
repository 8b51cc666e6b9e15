/** How long one exchange takes, for the docs: works on any card channel. */

import type { CardChannel } from "../card_channel.ts";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";

/** Microseconds for each exchange, the card's own time included. */
export interface TransmitTimes {
  readonly rounds: number;
  readonly p50: number;
  readonly p99: number;
  readonly mean: number;
}

/**
 * Sends one command `rounds` times, after a tenth as many that are not counted.
 * @param command an APDU that changes nothing on the card; default SELECT without a name.
 */
export async function measureTransmit(
  channel: CardChannel,
  options: { rounds?: number; command?: Uint8Array; clock?: Clock } = {},
): Promise<TransmitTimes> {
  const { rounds = 1_000, command = Uint8Array.of(0x00, 0xa4, 0x04, 0x00, 0x00), clock = SYSTEM_CLOCK } =
    options;
  for (let i = 0; i < rounds / 10; i++) await channel.transmit(command);
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const start = clock.monotonic();
    await channel.transmit(command);
    times.push(1_000 * (clock.monotonic() - start));
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => Math.round(times[Math.min(rounds - 1, Math.floor(share * rounds))] ?? 0);
  const mean = Math.round(times.reduce((sum, time) => sum + time, 0) / Math.max(1, rounds));
  return { rounds, p50: at(0.5), p99: at(0.99), mean };
}
