import assert from "node:assert/strict";
import { compareVersions } from "shared/protocol/release/target.ts";
import { rememberedOf, UPDATE_PLAN } from "./plan.ts";
import { progressOf } from "./progress.ts";

const same = (a: string, b: string) => compareVersions(a, b) === 0;

Deno.test("rememberedOf() and UPDATE_PLAN: the card decides, the journal only says what to compare", () => {
  const entry = { from: "1.0.0", to: "1.1" };
  assert.equal(rememberedOf("1.0.0", undefined, same), "nothing");
  assert.equal(rememberedOf("1.0.0", entry, same), "before");
  assert.equal(rememberedOf("1.1.0", entry, same), "behind");
  assert.equal(rememberedOf(undefined, entry, same), "before");
  // A card that does not answer is never begun with: its applet could not ask the PIN.
  assert.deepEqual(new Set(Object.values(UPDATE_PLAN.silent)), new Set(["resume"]));
  assert.equal(UPDATE_PLAN.ready.behind, "prove");
});

Deno.test("progressOf() never says that it is done before it is, and tells a time once it has measured one", () => {
  assert.equal(progressOf("loading", 500, 100, 1000).percent, 99);
  assert.equal(progressOf("looking", 1, 100, 10).secondsLeft, null);
  assert.equal(progressOf("loading", 50, 100, 5000).secondsLeft, 5);
  assert.equal(progressOf("loading", 50, 100, 5000).mayRemove, false);
  assert.equal(progressOf("looking", 0, 0, 0).percent, 0);
});
