/** Free ports on the loopback interface, for listeners that start later: what one program has been given, no other one of ours takes. */

import { CodedError, defineErrors } from "shared/base/errors.ts";

/**
 * Ports that are given out: above the well-known ones, below those that Linux gives to outgoing connections (32768 on). A
 * port from there may be taken by any connection of anybody between our look and the listener's start.
 */
const PORTS = { first: 12_000, last: 19_999 } as const;
/**
 * A program takes whole blocks. It listens on the first port of a block as long as it lives, so the system sees to it that a block is
 * one program's: several spines and tests start at the same time, each long before its last listener is there.
 */
const BLOCK = 50;
const BLOCKS = (PORTS.last - PORTS.first + 1) / BLOCK;

/** What is left of this program's newest block. */
let left: number[] = [];

/** Takes a free port. @throws {CodedError} `SPINE_NO_PORT`. */
export function freePort(): number {
  for (;;) {
    const port = left.shift() ?? nextBlock();
    if (isFree(port)) return port;
  }
}

/** Takes a block. @returns its first port that can be given out; the others are in `left`. */
function nextBlock(): number {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let i = 0; i < BLOCKS; i++) {
    const first = PORTS.first + ((start + i) % BLOCKS) * BLOCK;
    const guard = listen(first);
    if (guard === undefined) continue;
    guard.unref();
    left = Array.from({ length: BLOCK - 2 }, (_, j) => first + 2 + j);
    return first + 1;
  }
  throw new CodedError("SPINE_NO_PORT", `Cannot find a free port from ${PORTS.first} to ${PORTS.last}`);
}

function isFree(port: number): boolean {
  const listener = listen(port);
  listener?.close();
  return listener !== undefined;
}

function listen(port: number): Deno.Listener | undefined {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return undefined;
    throw error;
  }
}

defineErrors({
  SPINE_NO_PORT: {
    fault: "service",
    retry: true,
    next: "Too many programs listen on this machine: stop some, and try again.",
  },
});
