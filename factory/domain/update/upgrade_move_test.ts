import assert from "node:assert/strict";
import {
  isUpgradeOpen,
  UPGRADE_STATUS,
  type UpgradeStatusName,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { FIRST_MOVE, nextMove, UPGRADE_MODES } from "./upgrade_move.ts";

const STATUSES = Object.keys(UPGRADE_STATUS) as UpgradeStatusName[];

Deno.test("nextMove() every mode and status: only a card that proved itself is started, and only when nothing is open", () => {
  for (const mode of UPGRADE_MODES) {
    for (const status of STATUSES) {
      const first = nextMove(mode, status, { first: true, tookBack: false });
      assert.equal(first, FIRST_MOVE[mode][status]);
      assert.equal(first === "start", mode === "begin" && !isUpgradeOpen(status), `${mode} ${status}`);
      assert.equal(first === "take-back" ? mode : "recover", "recover", `${mode} ${status}`);
      for (const tookBack of [false, true]) {
        const later = nextMove(mode, status, { first: false, tookBack });
        assert.notEqual(later, "start", `${mode} ${status}`);
        if (!isUpgradeOpen(status)) assert.ok(["updated", "recovered", "nothing"].includes(later));
      }
    }
  }
});

Deno.test("nextMove() an old package is loaded only after the new one was taken back", () => {
  for (const status of STATUSES) {
    assert.notEqual(nextMove("recover", status, { first: true, tookBack: false }), "load");
    assert.notEqual(nextMove("recover", status, { first: false, tookBack: false }), "load");
  }
  assert.equal(nextMove("recover", "waiting-for-elf", { first: false, tookBack: true }), "load");
  assert.equal(nextMove("recover", "restore-failed", { first: false, tookBack: true }), "stuck");
});
