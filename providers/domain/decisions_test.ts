/** The provider's decisions, as the pure functions that they are: every fact changed by itself. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { decideRelease, type ReleaseFacts } from "./release.ts";
import { lockedBecause } from "./service_lock.ts";
import { SESSION_FLOW, type SessionState, type SessionStep } from "./session_flow.ts";

const GOOD: ReleaseFacts = {
  backup: "stored",
  counted: true,
  attempts: 1,
  releases: 0,
  lock: "same-device",
  verification: undefined,
  consistent: true,
  limits: { attempts: 3, releases: 2 },
};

Deno.test("decideRelease() releases when every fact holds, and names each one that does not", () => {
  assert.deepEqual(decideRelease(GOOD), { kind: "release" });
  const wrong: [Partial<ReleaseFacts>, string][] = [
    [{ backup: "pending" }, "backup-pending"],
    [{ backup: "absent" }, "backup-absent"],
    [{ counted: false }, "not-counted"],
    [{ attempts: 4 }, "attempts"],
    [{ releases: 2 }, "releases"],
    [{ lock: "another-device" }, "lock-another-device"],
    [{ lock: "expired" }, "lock-expired"],
    [{ lock: "none" }, "lock-none"],
    [{ verification: "nonce" }, "verification-nonce"],
    [{ consistent: false }, "share-inconsistent"],
  ];
  for (const [change, reason] of wrong) {
    assert.deepEqual(decideRelease({ ...GOOD, ...change }), { kind: "refuse", reasons: [reason] });
  }
  const all = fc.subarray(wrong, { minLength: 1 });
  fc.assert(fc.property(all, (some) => {
    const facts = some.reduce((so, [change]) => ({ ...so, ...change }), GOOD);
    const decision = decideRelease(facts);
    assert.equal(decision.kind, "refuse");
    // Of two wrong values of one fact the last one counts.
    const reasons = new Set((decision as { reasons: readonly string[] }).reasons);
    assert.equal(reasons.size, new Set(some.map(([change]) => Object.keys(change)[0])).size);
  }));
  assert.deepEqual(
    decideRelease({ ...GOOD, attempts: 3, releases: 1 }),
    { kind: "release" },
    "the last allowed ones",
  );
});

Deno.test("lockedBecause() opens for a new document of the highest sequence only", () => {
  const open = { state: "open", sequence: 5, notAfter: 100 } as const;
  assert.equal(lockedBecause(open, 5, 100), undefined);
  assert.equal(lockedBecause(open, 4, 0), undefined);
  assert.equal(lockedBecause(undefined, 0, 0), "no-document");
  assert.equal(lockedBecause(open, 6, 0), "set-back");
  assert.equal(lockedBecause(open, 5, 101), "expired");
  assert.equal(lockedBecause({ ...open, state: "locked" }, 5, 0), "locked");
});

Deno.test("SESSION_FLOW: a backup in force is never abandoned, and ends stay ends", () => {
  const states = Object.keys(SESSION_FLOW.table) as SessionState[];
  const steps: SessionStep[] = [
    "deposit",
    "commit",
    "abandon",
    "confirm",
    "count",
    "release",
    "delete",
    "deletion",
    "refuse",
  ];
  for (const end of ["stored", "released", "deleted", "refused", "abandoned"] as const) {
    assert.deepEqual(steps.filter((step) => SESSION_FLOW.next(end, step) !== undefined), []);
  }
  const to = (wanted: SessionState) =>
    states.flatMap((state) =>
      steps.filter((step) => SESSION_FLOW.next(state, step) === wanted).map((step) => `${state} ${step}`)
    );
  assert.deepEqual(to("released"), ["counted release"], "nothing is released that was not counted");
  assert.deepEqual(to("stored"), ["deposited commit"]);
  assert.deepEqual(to("deleted"), ["challenged deletion"]);
});
