import assert from "node:assert/strict";
import { leafHash, treeRoot } from "shared/log/merkle.ts";
import { RunningRoot } from "./running_root.ts";

Deno.test("RunningRoot is the root of the whole tree, at every size up to 130", () => {
  const leaves: Uint8Array[] = [];
  const running = new RunningRoot();
  for (let size = 0; size <= 130; size++) {
    assert.equal(running.size, size);
    assert.deepEqual(running.root(), treeRoot(leaves), `${size} leaves`);
    const leaf = leafHash(Uint8Array.of(size));
    leaves.push(leaf);
    running.add(leaf);
  }
});
