/**
 * Loaded before a station's program, by tests only (`--preload`): stops the process for good when its journal commits for the
 * Nth time, before or after, and says so; the test then kills it with SIGKILL. Nothing of the station knows of this, no
 * program of the product loads it, and it needs no permission: it reads the standard input that the station leaves alone.
 *
 *     standard input    arm N before | arm N after | count
 *     standard output   {"event":"armed","commits":commits since the last order}; then {"event":"stopped","commit":N,"side":"before"}
 */

import { DatabaseSync } from "node:sqlite";

const say = (value: unknown) => {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
};

let armed: { at: number; side: string } | undefined;
let count = 0;
let listening: Promise<void> | undefined;

/** Waits until it is killed, in the middle of whatever called it. */
function stopHere(side: string): void {
  say({ event: "stopped", commit: count, side });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const run = DatabaseSync.prototype.exec;
DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
  // Not while this module loads: the runtime waits until a preloaded module has nothing more to do.
  listening ??= listen();
  if (sql !== "COMMIT") return run.call(this, sql);
  count++;
  const here = count === armed?.at;
  if (here && armed?.side === "before") stopHere("before");
  run.call(this, sql);
  if (here && armed?.side === "after") stopHere("after");
};

async function listen(): Promise<void> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    rest += text;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      const [word, at, side] = rest.slice(0, end).split(" ");
      rest = rest.slice(end + 1);
      if (word === "arm") armed = { at: Number(at), side: side! };
      say({ event: "armed", commits: count });
      count = 0;
    }
  }
}
