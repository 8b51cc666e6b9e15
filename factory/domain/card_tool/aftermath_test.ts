import assert from "node:assert/strict";
import { aftermath, type Intent, type Observed } from "./aftermath.ts";

const P = "A00000000101";
const I = "A0000000010101";

const INTENTS: readonly Intent[] = [
  { kind: "load", packageAid: P, file: "x.cap", deletedOld: false },
  { kind: "load", packageAid: P, file: "x.cap", deletedOld: true },
  { kind: "install", packageAid: P, instanceAid: I, loadedHere: true },
  { kind: "install", packageAid: P, instanceAid: I, loadedHere: false },
  { kind: "delete", aid: P, related: false },
  { kind: "put-keys", newVersion: 0x31, before: [0x30] },
  { kind: "delete-keys", version: 0x31 },
  { kind: "set-status", what: I, lock: true, aid: I },
  { kind: "set-status", what: "the card", lock: false, aid: undefined },
];
const OBSERVED: readonly Observed[] = [
  {},
  { registry: [], keyVersions: [], lifeCycle: "SECURED" },
  { registry: [P], keyVersions: [0x30], lifeCycle: "CARD_LOCKED" },
  { registry: [I], keyVersions: [0x30, 0x31], lifeCycle: "LOCKED (SELECTABLE)" },
  { registry: [P, I], keyVersions: [0x31], lifeCycle: "SELECTABLE" },
];

Deno.test("aftermath() says something of every intent and observation, and its commands are ours", () => {
  for (const intent of INTENTS) {
    for (const observed of OBSERVED) {
      const { state, cleanUp } = aftermath(intent, observed);
      assert.ok(state.length > 0 && state.every((line) => line.length > 0));
      for (const words of cleanUp) assert.match(words[0]!, /^(list|delete|load|keys|unlock)$/);
    }
    assert.match(aftermath(intent, {}).state.join(), /could not be looked at/);
  }
});

Deno.test("aftermath() names the exact command for what was left behind", () => {
  const of = (intent: Intent, observed: Observed) => aftermath(intent, observed).cleanUp;
  assert.deepEqual(of(INTENTS[0]!, { registry: [P] }), [["delete", P, "--related"]]);
  assert.deepEqual(of(INTENTS[0]!, { registry: [] }), []);
  assert.deepEqual(of(INTENTS[1]!, { registry: [] }), [["load", "x.cap"]]);
  assert.deepEqual(of(INTENTS[2]!, { registry: [P] }), [["delete", P, "--related"]]);
  assert.deepEqual(of(INTENTS[3]!, { registry: [P] }), []);
  assert.deepEqual(of(INTENTS[3]!, { registry: [P, I] }), [["delete", I]]);
  assert.deepEqual(of(INTENTS[5]!, { keyVersions: [0x31] }), [["keys", "list", "--key-version", "31"]]);
  const again: Intent = { kind: "put-keys", newVersion: 0x30, before: [0x30] };
  assert.match(aftermath(again, { keyVersions: [0x30] }).state[0]!, /old or the new/);
  assert.deepEqual(of(INTENTS[4]!, { registry: [P] }), [["delete", P]]);
  assert.deepEqual(of(INTENTS[7]!, { lifeCycle: "LOCKED (SELECTABLE)" }), [["unlock", I]]);
  assert.deepEqual(of(INTENTS[8]!, { lifeCycle: "CARD_LOCKED" }), []);
});
