import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command, encodeCommand } from "../apdu/command.ts";
import { encodeBer } from "../tlv/ber.ts";
import { CARD_LIFE_CYCLE, cardLifeCycleName } from "./constants.ts";
import { encodeCardData, parseCardData } from "./card_data.ts";
import { parseCplc } from "./cplc.ts";
import { deleteCommand, deleteKeyVersionCommand, parseDelete } from "./delete.ts";
import { encodeKeyInformation, keyVersions, parseKeyInformation } from "./key_information.ts";
import { decodePrivileges, encodePrivileges } from "./privileges.ts";
import { encodeSelectAnswer, parseSelectAnswer, selectCommand, selectDefaultCommand } from "./select.ts";
import { parseSetStatus, secureCardCommand, SET_STATUS_SCOPE, setStatusCommand } from "./set_status.ts";
import { parseStoreData, storeDataCommands } from "./store_data.ts";

const AID = fromHex("A000000151000000");
const byte = fc.integer({ min: 0, max: 255 });

Deno.test("setStatusCommand() and parseSetStatus() agree", () => {
  equal(toHex(encodeCommand(secureCardCommand())), "80F0800F");
  equal(
    toHex(encodeCommand(setStatusCommand(SET_STATUS_SCOPE.APPLICATION, 0x87, AID, { cla: 0x84 }))),
    "84F0408708A000000151000000",
  );
  deepEqual(parseSetStatus(setStatusCommand(0x60, 0x07, AID)), { scope: 0x60, lifeCycle: 0x07, aid: AID });
  equal(parseSetStatus(command(0x80, 0xf0, 0x01, 0)), undefined);
  throws(() => setStatusCommand(SET_STATUS_SCOPE.APPLICATION, 0x07), { code: "GP_AID" });
});

Deno.test("CARD_LIFE_CYCLE has the values of the specification", () => {
  deepEqual(CARD_LIFE_CYCLE, {
    OP_READY: 0x01,
    INITIALIZED: 0x07,
    SECURED: 0x0f,
    CARD_LOCKED: 0x7f,
    TERMINATED: 0xff,
  });
  equal(cardLifeCycleName(0x0f), "SECURED");
  equal(cardLifeCycleName(0x09), "09");
});

Deno.test("deleteCommand() and parseDelete() agree", () => {
  equal(toHex(encodeCommand(deleteCommand(AID))), "80E400000A4F08A000000151000000");
  equal(
    toHex(encodeCommand(deleteCommand(AID, { related: true, token: fromHex("AA"), cla: 0x84 }))),
    "84E400800D4F08A0000001510000009E01AA",
  );
  equal(toHex(encodeCommand(deleteKeyVersionCommand(0x30))), "80E4000003D20130");
  deepEqual(parseDelete(deleteCommand(AID, { related: true })), { kind: "content", aid: AID, related: true });
  deepEqual(parseDelete(deleteKeyVersionCommand(0x30)), { kind: "key", id: undefined, version: 0x30 });
  throws(() => parseDelete(command(0x80, 0xe4, 0, 0)), { code: "GP_COMMAND" });
  throws(() => parseDelete(command(0x80, 0xe4, 0, 0, fromHex("4F01AA"))), { code: "GP_COMMAND" });
  throws(() => deleteCommand(new Uint8Array(3)), { code: "GP_AID" });
});

Deno.test("decodePrivileges() undoes encodePrivileges(), in 1 or 3 bytes", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffff }), (privileges) => {
    const bytes = encodePrivileges(privileges);
    equal(bytes.length, (privileges & 0xffff) === 0 ? 1 : 3);
    equal(decodePrivileges(bytes), privileges);
  }));
  throws(() => decodePrivileges(new Uint8Array(2)), { code: "GP_PRIVILEGES" });
});

Deno.test("storeDataCommands() numbers blocks, marks the last, keeps structure bits", () => {
  const blocks = [fromHex("01"), fromHex("02")];
  const commands = storeDataCommands(blocks, { p1: 0x08 });
  deepEqual(commands.map((c) => toHex(encodeCommand(c))), ["80E208000101", "80E288010102"]);
  deepEqual(parseStoreData(commands[1]!), { last: true, number: 1, structure: 0x08, data: blocks[1] });
  deepEqual(parseStoreData(commands[0]!), { last: false, number: 0, structure: 0x08, data: blocks[0] });
  equal(storeDataCommands([]).length, 0);
  equal(storeDataCommands(Array.from({ length: 256 }, () => blocks[0]!)).length, 256);
  throws(() => storeDataCommands(Array.from({ length: 257 }, () => blocks[0]!)), {
    code: "GP_TOO_MANY_BLOCKS",
  });
  throws(() => storeDataCommands([new Uint8Array(256)]), { code: "GP_FIELD_LENGTH" });
});

Deno.test("parseCardData() undoes encodeCardData(), several channels and numbers over 127 too", () => {
  const channel = fc.record({ scp: byte, i: byte }, { noNullPrototype: true });
  const version = fc.array(fc.nat(30), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."));
  fc.assert(
    fc.property(version, fc.array(channel, { maxLength: 3 }), (globalPlatformVersion, secureChannels) => {
      const card = { globalPlatformVersion, secureChannels };
      deepEqual(parseCardData(encodeCardData(card)), card);
    }),
  );
});

Deno.test("parseCardData() reads or refuses with a code, whatever byte is changed", () => {
  const data = encodeCardData({ globalPlatformVersion: "2.3.1", secureChannels: [{ scp: 3, i: 0x70 }] });
  for (let at = 0; at < data.length; at++) {
    for (const value of [0x00, 0x80, 0xff, data[at]! ^ 1]) {
      const changed = data.slice();
      changed[at] = value;
      try {
        parseCardData(changed);
      } catch (error) {
        ok(/^(GP_ANSWER|TLV_)/.test((error as { code: string }).code), String(error));
      }
    }
    throws(() => parseCardData(data.slice(0, at)), { name: "CodedError" });
  }
});

Deno.test("parseKeyInformation() undoes encodeKeyInformation(), and reads the extended form", () => {
  const key = fc.record({
    id: byte,
    version: byte,
    components: fc.array(
      fc.record({ type: fc.integer({ min: 0, max: 0xfe }), length: byte }, { noNullPrototype: true }),
      { minLength: 1, maxLength: 3 },
    ),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(key, { maxLength: 5 }), (keys) => {
    deepEqual(parseKeyInformation(encodeKeyInformation(keys)), keys);
  }));
  const extended = encodeBer(0xe0, encodeBer(0xc0, fromHex("0130FF880010" + "0118" + "0114")));
  deepEqual(parseKeyInformation(extended), [{
    id: 1,
    version: 0x30,
    components: [{ type: 0x88, length: 16 }],
  }]);
  deepEqual(keyVersions([{ id: 1, version: 9, components: [] }, { id: 1, version: 1, components: [] }]), [
    1,
    9,
  ]);
});

Deno.test("parseKeyInformation() refuses what is no template", () => {
  for (const hex of ["E004C0020130", "E005C003013088", "E007C0050130882088", "E006C0040130FF88"]) {
    throws(() => parseKeyInformation(fromHex(hex)), { code: "GP_ANSWER" }, hex);
  }
  throws(() => parseKeyInformation(fromHex("E003C10100")), { code: "GP_ANSWER" });
  throws(() => parseKeyInformation(fromHex("E100")), { code: "TLV_MISSING" });
});

Deno.test("parseCplc() refuses other lengths", () => {
  throws(() => parseCplc(encodeBer(0x9f7f, new Uint8Array(41))), { code: "LAYOUT_LENGTH" });
  throws(() => parseCplc(fromHex("9F7F2A00")), { code: "TLV_TRUNCATED" });
});

Deno.test("selectCommand() variants", () => {
  equal(toHex(encodeCommand(selectCommand(AID, { next: true }))), "00A4040208A00000015100000000");
  equal(toHex(encodeCommand(selectDefaultCommand())), "00A4040000");
  throws(() => selectCommand(new Uint8Array(2)), { code: "GP_AID" });
});

Deno.test("parseSelectAnswer() takes an answer that has an AID only", () => {
  const bare = { aid: AID, cardData: undefined, maxCommandData: undefined };
  deepEqual(parseSelectAnswer(encodeSelectAnswer(bare)), bare);
  deepEqual(
    parseSelectAnswer(encodeSelectAnswer({ ...bare, maxCommandData: 0x0400 })).maxCommandData,
    0x0400,
  );
  throws(() => parseSelectAnswer(new Uint8Array(0)), { code: "TLV_MISSING" });
});
