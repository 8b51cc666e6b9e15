/**
 * One request to a witness, in a process that kills itself at a named point: `crash_program.ts FOLDER VKEY BODY POINT`. Prints the
 * answer as JSON when it lives to give one. Points: before-commit, after-commit, after-sign, none.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { testWitness } from "shared/log/witness/testing/test_witness.ts";

const [folder = "", vkey = "", body = "", point = ""] = Deno.args;

async function reach(at: string): Promise<void> {
  if (at !== point) return;
  Deno.kill(Deno.pid, "SIGKILL");
  // The signal may take a moment: nothing further may happen meanwhile.
  await new Promise(() => setInterval(() => {}, 1000));
}

using test = testWitness([{ origin: vkey.split("+")[0]!, vkey }], {
  folder,
  async sign(message) {
    await reach("after-commit");
    const signature = ed25519.sign(message, new Uint8Array(32).fill(77));
    await reach("after-sign");
    return signature;
  },
  wrap: (store) => ({
    latest: (origin) => store.latest(origin),
    at: (origin, size) => store.at(origin, size),
    lastTimestamp: () => store.lastTimestamp(),
    close: () => store.close(),
    commit(origin, previous, next) {
      if (point === "before-commit") {
        Deno.kill(Deno.pid, "SIGKILL");
        throw new Error("killed");
      }
      store.commit(origin, previous, next);
    },
  }),
});
const { status, body: text } = await test.witness.addCheckpoint(await Deno.readFile(body));
console.log(JSON.stringify({ status, body: text }));
