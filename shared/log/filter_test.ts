import assert from "node:assert/strict";
import { type LeafFilter, matches } from "./filter.ts";
import { testLeaf } from "./testing/log_folder.ts";

Deno.test("matches() every condition counts, and all together", () => {
  const leaf = testLeaf(9, { ticket: "OPS-1" });
  const right: LeafFilter = {
    events: ["station", "gateway"],
    since: leaf.time,
    actor: leaf.actor,
    ticket: "OPS-1",
    outcome: "refused",
    severity: "warning",
  };
  assert.ok(matches(leaf, right));
  assert.ok(matches(leaf, {}));
  const wrong: LeafFilter[] = [
    { events: ["gate"] },
    { events: ["gateway.serving", "attestation"] },
    { since: "2027-01-01T00:00:00.000Z" },
    { actor: "client:AAAAAAAAAAAAAAAAAAAAAA" },
    { subject: "card:AAAAAAAAAAAAAAAAAAAAAA" },
    { ticket: "OPS-2" },
    { outcome: "done" },
    { severity: "alarm" },
  ];
  for (const change of wrong) {
    assert.equal(matches(leaf, { ...right, ...change }), false, JSON.stringify(change));
  }
});
