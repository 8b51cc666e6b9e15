import assert from "node:assert/strict";
import { STATION } from "./fixture.ts";
import { maySend } from "./sender.ts";

Deno.test("maySend() every combination of sender, nonce and role", () => {
  const manager = { ...STATION, role: "batch-manager" as const };
  const cases = [
    [undefined, true, "ATTEST_SENDER_UNKNOWN"],
    [undefined, false, "ATTEST_SENDER_UNKNOWN"],
    [STATION, false, "ATTEST_REPLAY"],
    [{ ...STATION, disabled: true }, false, "ATTEST_REPLAY"],
    [{ ...STATION, disabled: true }, true, "ATTEST_SENDER_DISABLED"],
    [manager, true, "ATTEST_ROLE"],
    [STATION, true, "accept"],
  ] as const;
  for (const [sender, fresh, expected] of cases) {
    const decision = maySend(sender, fresh, ["station"]);
    assert.equal(decision.kind === "refuse" ? decision.reason : decision.kind, expected);
  }
  assert.equal(maySend(manager, true, ["station", "batch-manager"]).kind, "accept");
});
