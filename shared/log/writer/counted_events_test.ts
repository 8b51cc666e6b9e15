import assert from "node:assert/strict";
import { CodedError, defineErrors } from "../../base/errors.ts";
import type { EventName } from "../events.ts";
import type { EventFacts } from "../recorder.ts";
import { COUNTED_MAX, CountedEvents, type CountedFacts, OTHERS } from "./counted_events.ts";

defineErrors({ TEST_DISK: { fault: "service", retry: true, next: "Wait." } });
defineErrors({ TEST_BUG: { fault: "bug", retry: false, next: "Report it." } });

const EVENT = "gateway.connection-refused";
const from = (address: string): CountedFacts => ({
  actor: { kind: "address", identifier: address },
  outcome: "refused",
  reason: "handshake-failed",
});

function make() {
  const written: [EventName, EventFacts][] = [];
  const failures: unknown[] = [];
  const state: { failure?: Error | undefined } = {};
  const counted = new CountedEvents({
    record: (event, facts) => {
      if (state.failure) return Promise.reject(state.failure);
      written.push([event, facts]);
      return Promise.resolve();
    },
    onFailure: (error) => failures.push(error),
    // No test waits for an interval: flush() ends one.
    intervalMs: 3_600_000,
  });
  return { counted, written, failures, state };
}

Deno.test("CountedEvents writes the first at once, and how many followed at the end of the interval", async () => {
  const { counted, written } = make();
  for (let i = 0; i < 1000; i++) counted.tell(EVENT, from("192.0.2.1"));
  counted.tell(EVENT, from("192.0.2.2"));
  assert.deepEqual(written, [[EVENT, from("192.0.2.1")], [EVENT, from("192.0.2.2")]]);
  await counted.flush();
  assert.deepEqual(written[2], [EVENT, { ...from("192.0.2.1"), count: 999 }]);
  assert.equal(written.length, 3);
  await counted.stop();
  assert.equal(written.length, 3, "nothing is written twice");
});

Deno.test("CountedEvents writes a bounded number of entries whatever the flood", async () => {
  const { counted, written } = make();
  const strangers = 100_000;
  for (let i = 0; i < strangers; i++) counted.tell(EVENT, from(`2001:db8::${i.toString(16)}`));
  await counted.stop();
  assert.equal(written.length, COUNTED_MAX + 1);
  const [event, rest] = written.at(-1)!;
  assert.deepEqual([event, rest.actor.identifier, rest.count], [EVENT, OTHERS, strangers - COUNTED_MAX]);
});

Deno.test("CountedEvents keeps what could not be written, and says so until it is", async () => {
  const { counted, written, failures, state } = make();
  state.failure = new CodedError("TEST_DISK", "Cannot write: the disk is full");
  counted.tell(EVENT, from("192.0.2.1"));
  await counted.flush();
  counted.tell(EVENT, from("192.0.2.1"));
  assert.ok(counted.failing);
  assert.ok(failures.length >= 1);
  state.failure = undefined;
  await counted.stop();
  assert.ok(!counted.failing);
  const count = written.reduce((sum, [, facts]) => sum + (facts.count ?? 1), 0);
  assert.equal(count, 2);
});

Deno.test("CountedEvents drops an entry that no log takes", async () => {
  const { counted, written, failures, state } = make();
  state.failure = new CodedError("TEST_BUG", "Cannot use entry");
  counted.tell(EVENT, from("192.0.2.1"));
  await counted.flush();
  assert.ok(!counted.failing);
  assert.equal(failures.length, 1);
  state.failure = undefined;
  await counted.stop();
  assert.equal(written.length, 0);
});
