import assert from "node:assert/strict";
import type { Flow } from "shared/base/flow.ts";
import { type FlowEvent, type FlowName, FLOWS, type FlowState } from "./flows.ts";
import { nextState } from "./run_flow.ts";
import { FLOW_STEPS } from "./steps.ts";

const ENDS = ["done", "refused", "cancelled", "untouched", "uncertain", "wiped", "doubtful"];
const NAMES = Object.keys(FLOWS) as FlowName[];
const flowOf = (name: FlowName) => FLOWS[name] as unknown as Flow<FlowState, FlowEvent>;
const statesOf = (name: FlowName) => Object.keys(FLOWS[name].table) as FlowState[];

/** Every row, written down a second time: a change of a table must be meant. */
const EXPECTED: Readonly<Record<FlowName, string>> = {
  backup: `
    locked opened wallet, locked cancelled cancelled, wallet seed firstTap, wallet empty refused,
    firstTap emptyCard newPin, firstTap pendingCard askPin, firstTap cardInUse refused, firstTap torn untouched,
    newPin chosen writingTap, newPin cancelled cancelled,
    writingTap sameCard writing, writingTap otherCard refused, writingTap torn untouched,
    writing written checking, writing torn uncertain,
    checking matches done, checking differs doubtful, checking torn uncertain,
    askPin given secondTap, askPin noTries refused, askPin cancelled cancelled,
    secondTap sameCard verifyPin, secondTap otherCard refused, secondTap torn untouched,
    verifyPin rightPin proving, verifyPin wrongPin askPin, verifyPin wrongPinEnd refused, verifyPin wiped wiped,
    verifyPin torn uncertain, proving matches done, proving differs doubtful, proving torn uncertain`,
  restore: `
    locked opened wallet, locked cancelled cancelled, wallet empty firstTap, wallet seed refused,
    firstTap cardInUse askPin, firstTap emptyCard refused, firstTap torn untouched,
    askPin given secondTap, askPin noTries refused, askPin cancelled cancelled,
    secondTap sameCard verifyPin, secondTap otherCard refused, secondTap torn untouched,
    verifyPin rightPin reading, verifyPin wrongPin askPin, verifyPin wrongPinEnd refused, verifyPin wiped wiped,
    verifyPin torn uncertain, reading matches storing, reading differs doubtful, reading torn untouched,
    storing stored done`,
  manage: `
    locked opened wallet, locked cancelled cancelled, wallet seed firstTap, wallet empty refused,
    firstTap cardInUse choose, firstTap emptyCard refused, firstTap torn untouched,
    choose chosen askPin, choose noTriesWipe blindTap, choose cancelled cancelled,
    askPin given secondTap, askPin noTries refused, askPin cancelled cancelled,
    secondTap sameCard verifyPin, secondTap otherCard refused, secondTap torn untouched,
    verifyPin rightPin matching, verifyPin wrongPin askPin, verifyPin wrongPinEnd refused, verifyPin wiped wiped,
    verifyPin torn uncertain, matching matches acting, matching differs confirmOther, matching torn untouched,
    confirmOther confirmed acting, confirmOther cancelled cancelled,
    acting changed checking, acting torn uncertain,
    checking matches done, checking differs doubtful, checking torn uncertain,
    blindTap sameCard blindWipe, blindTap otherCard refused, blindTap torn untouched,
    blindWipe changed checking, blindWipe torn uncertain`,
  identify: `
    locked opened wallet, locked cancelled cancelled, wallet seed firstTap, wallet empty firstTap,
    firstTap cardInUse done, firstTap emptyCard done, firstTap compare askPin, firstTap torn untouched,
    askPin given secondTap, askPin noTries refused, askPin cancelled cancelled,
    secondTap sameCard verifyPin, secondTap otherCard refused, secondTap torn untouched,
    verifyPin rightPin matching, verifyPin wrongPin askPin, verifyPin wrongPinEnd refused, verifyPin wiped wiped,
    verifyPin torn uncertain, matching matches done, matching differs done, matching torn untouched`,
};

const ALL_EVENTS = [
  ...new Set(Object.values(EXPECTED).join(",").split(",").map((row) => row.trim().split(/\s+/)[1]!)),
] as FlowEvent[];

Deno.test("flows: every state x event is the transition that is written down, or refused", () => {
  let walked = 0;
  let allowed = 0;
  for (const name of NAMES) {
    const rows = new Map(
      EXPECTED[name].split(",").map((row) => {
        const [state, event, next] = row.trim().split(/\s+/);
        return [`${state} ${event}`, next!];
      }),
    );
    for (const state of statesOf(name)) {
      for (const event of [...ALL_EVENTS, "nonsense" as FlowEvent]) {
        walked++;
        const expected = rows.get(`${state} ${event}`);
        if (expected === undefined) {
          assert.throws(
            () => nextState(flowOf(name), state, event),
            { code: "WALLET_FLOW" },
            `${name} ${state} ${event}`,
          );
        } else {
          allowed++;
          assert.equal(nextState(flowOf(name), state, event), expected);
          rows.delete(`${state} ${event}`);
        }
      }
    }
    assert.deepEqual([...rows], [], `${name}: rows that no state has`);
  }
  console.log(
    `wallet flows: ${walked} pairs of state and event walked, ${allowed} allowed, ${
      walked - allowed
    } refused`,
  );
});

Deno.test("flows: each state has a step or is an end, is reached, and an end is reached from it", () => {
  for (const name of NAMES) {
    const { table } = flowOf(name);
    const reached = new Set<FlowState>(["locked"]);
    for (const state of reached) Object.values(table[state]).forEach((next) => reached.add(next));
    for (const state of statesOf(name)) {
      const isEnd = ENDS.includes(state);
      assert.equal(Object.keys(table[state]).length === 0, isEnd, `${name} ${state}`);
      assert.equal(state in FLOW_STEPS[name], !isEnd, `${name} ${state}`);
      if (!isEnd) assert.ok(reached.has(state), `${name}: nothing leads to ${state}`);
      const onward = new Set([state]);
      for (const one of onward) Object.values(table[one]).forEach((next) => onward.add(next));
      assert.ok([...onward].some((one) => ENDS.includes(one)), `${name} ${state}`);
    }
  }
});

/** States from which `target` follows in one step. */
function before(name: FlowName, target: FlowState): string[] {
  const { table } = flowOf(name);
  return statesOf(name).flatMap((state) =>
    Object.entries(table[state]).filter(([, next]) => next === target).map(([event]) => `${state} ${event}`)
  );
}

Deno.test("flows: nothing is written before the wallet's PIN, the same card and, where there is one, the card's PIN", () => {
  assert.deepEqual(before("backup", "writing"), ["writingTap sameCard"]);
  assert.deepEqual(before("restore", "storing"), ["reading matches"]);
  assert.deepEqual(before("restore", "reading"), ["verifyPin rightPin"]);
  assert.deepEqual(before("manage", "acting"), ["matching matches", "confirmOther confirmed"]);
  assert.deepEqual(before("manage", "matching"), ["verifyPin rightPin"]);
  for (const name of NAMES) {
    assert.deepEqual(before(name, "wallet"), ["locked opened"]);
    assert.deepEqual(before(name, "verifyPin"), ["secondTap sameCard"]);
    assert.ok(before(name, "firstTap").every((from) => from.startsWith("wallet ")));
  }
});
