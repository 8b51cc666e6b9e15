/** Readers for the demo and the benchmarks: virtual ones, or pcscd's with the vpcd driver. */

import { startPcscd } from "tests/environment/pcscd.ts";
import { freePort } from "../spine/ports.ts";
import type { LineReader } from "./line.ts";

/** pcscd polls for presence: a card that is away for less is not seen as removed. */
const PCSCD_AWAY_MS = 1500;

/** Readers, and how to end what serves them. */
export interface Readers {
  readonly readers: readonly LineReader[];
  readonly virtual: boolean;
  /** How long a reader has to be empty to be seen as empty, in milliseconds. */
  readonly awayMs: number;
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Names and free ports of readers that the station opens itself. */
export function virtualReaders(count: number): Readers {
  return {
    readers: Array.from({ length: count }, (_, i) => ({
      name: `Virtual Reader ${i + 1}`,
      address: `127.0.0.1:${freePort()}`,
    })),
    virtual: true,
    awayMs: 0,
    env: {},
    stop: () => Promise.resolve(),
  };
}

/** A private pcscd with vpcd readers. The folder's path must be short: it holds a Unix socket. */
export async function pcscReaders(count: number): Promise<Readers> {
  const directory = await Deno.makeTempDir({ prefix: "rk-pcscd-" });
  const pcscd = await startPcscd({ directory, readers: count });
  return {
    readers: pcscd.readers.map(({ name, port }) => ({ name, address: `127.0.0.1:${port}` })),
    virtual: false,
    awayMs: PCSCD_AWAY_MS,
    env: pcscd.env,
    async stop() {
      await pcscd.stop();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
