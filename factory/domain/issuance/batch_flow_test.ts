import assert from "node:assert/strict";
import { BATCH_EVENTS, BATCH_FLOW, BATCH_STATES } from "./batch_flow.ts";

Deno.test("BATCH_FLOW every state and event", () => {
  const walked = BATCH_STATES.flatMap((state) =>
    BATCH_EVENTS.map((event) => `${state} ${event} ${BATCH_FLOW.next(state, event) ?? "refused"}`)
  );
  assert.deepEqual(walked, [
    "held open open",
    "held stop refused",
    "held close closed",
    "open open refused",
    "open stop held",
    "open close closed",
    "closed open refused",
    "closed stop refused",
    "closed close refused",
  ]);
});
