import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { command, encodeCommand } from "../apdu/command.ts";
import {
  abortUpgrade,
  encodeUpgradeAnswer,
  isUpgradeOpen,
  parseManageUpgrade,
  parseUpgradeAnswer,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
  UPGRADE_P1,
  UPGRADE_STATUS,
  upgradeStatus,
  type UpgradeStatusName,
} from "./manage_elf_upgrade.ts";

const AID = fromHex("A0000000624C4544474552303100");
const NAMES = Object.keys(UPGRADE_STATUS) as UpgradeStatusName[];

Deno.test("MANAGE ELF UPGRADE is laid out as Amendment H has it", () => {
  const bytes = (apdu: Parameters<typeof encodeCommand>[0]) => toHex(encodeCommand(apdu));
  equal(bytes(startUpgrade(AID)), "80EA010015A1134F0EA0000000624C4544474552303100800100");
  equal(bytes(startUpgrade(AID, { cla: 0x84, upgradeOptions: 1 })).slice(-6), "800101");
  equal(bytes(resumeUpgrade()), "80EA0200");
  equal(bytes(recoverUpgrade()), "80EA0300");
  equal(bytes(abortUpgrade()), "80EA0400");
  equal(bytes(upgradeStatus()), "80EA0800");
});

Deno.test("the answer is a confirmation and a session, each behind its length", () => {
  const data = encodeUpgradeAnswer({ status: "waiting-for-elf", packageAid: AID });
  equal(toHex(data), "0015A1139001024F0EA0000000624C4544474552303100");
  deepEqual(parseUpgradeAnswer(data), { status: "waiting-for-elf", packageAid: AID });
  equal(toHex(encodeUpgradeAnswer({ status: "none" })), "0005A103900100");
  // A card with receipts confirms; one without a session may name an empty AID, in either order.
  deepEqual(parseUpgradeAnswer(fromHex("02CAFE07A1054F00900101")), { status: "completed" });
});

Deno.test("every status survives the way to the host", () => {
  for (const status of NAMES) {
    for (const session of [{ status }, { status, packageAid: AID }]) {
      deepEqual(parseUpgradeAnswer(encodeUpgradeAnswer(session)), session);
    }
  }
  deepEqual(NAMES.filter((name) => !isUpgradeOpen(name)), ["none", "completed"]);
});

Deno.test("an answer that is none is refused with GP_ANSWER, whatever its bytes", () => {
  for (
    const text of [
      "",
      "00",
      "0005A10390010000",
      "0005A103900105",
      "0005A10490010000",
      "0006A10490020000",
      "0009A1079001024F02CAFE",
      "0002A100",
      "000AA103900100A103900100",
    ]
  ) {
    throws(() => parseUpgradeAnswer(fromHex(text)), { code: "GP_ANSWER" }, text);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    try {
      parseUpgradeAnswer(bytes);
    } catch (error) {
      equal((error as CodedError).code, "GP_ANSWER");
    }
  }));
});

Deno.test("the card reads what the host writes", () => {
  deepEqual(parseManageUpgrade(startUpgrade(AID)), { p1: UPGRADE_P1.START, packageAid: AID });
  deepEqual(parseManageUpgrade(resumeUpgrade()), { p1: UPGRADE_P1.RESUME });
  deepEqual(parseManageUpgrade(upgradeStatus()), { p1: UPGRADE_P1.STATUS });
  const named = command(0x80, 0xea, UPGRADE_P1.ABORT, 0, startUpgrade(AID).data);
  deepEqual(parseManageUpgrade(named), { p1: UPGRADE_P1.ABORT, packageAid: AID });
});

Deno.test("the card tells a wrong parameter from wrong data", () => {
  equal(parseManageUpgrade(command(0x80, 0xea, 5, 0)), undefined);
  equal(parseManageUpgrade(command(0x80, 0xea, 1, 1, startUpgrade(AID).data)), undefined);
  for (
    const text of ["", "A100", "A1064F02CAFE8000", "4F05A000000062", "A1074F05A00000006200", "A1034F0100"]
  ) {
    throws(() => parseManageUpgrade(command(0x80, 0xea, 1, 0, fromHex(text))), CodedError, text);
  }
});
