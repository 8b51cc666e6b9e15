import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { command, type CommandApdu, encodeCommand } from "../apdu/command.ts";
import { encodeBer } from "../tlv/ber.ts";
import { encodeLoadFile, loadBlocks } from "./load.ts";
import { acceptLoadBlock, dapFor, LOAD_START, type LoadStep, parseLoadFile } from "./load_parser.ts";

const SD = fromHex("A000000151000000");

/** Feeds commands to the card's side; the last step. */
function feed(commands: readonly CommandApdu[]): LoadStep {
  let progress = LOAD_START;
  let step: LoadStep = { kind: "refuse", sw: 0 };
  for (const apdu of commands) ({ progress, step } = acceptLoadBlock(progress, apdu));
  return step;
}

Deno.test("loadBlocks() splits C4 into numbered blocks, the last one marked", () => {
  const commands = loadBlocks(fromHex("0102030405"), 3);
  deepEqual(commands.map((c) => toHex(encodeCommand(c))), [
    "80E8000003C40501",
    "80E8000103020304",
    "80E880020105",
  ]);
  equal(loadBlocks(fromHex("01"), 255, [], { cla: 0x84 })[0]!.cla, 0x84);
});

Deno.test("loadBlocks() puts DAP blocks before C4", () => {
  const [only] = loadBlocks(fromHex("AA"), 255, [{ securityDomainAid: SD, signature: fromHex("BBCC") }]);
  equal(toHex(only!.data), "E20E" + "4F08A000000151000000" + "C302BBCC" + "C401AA");
});

Deno.test("loadBlocks() takes exactly 256 blocks, and refuses 257", () => {
  const fits = new Uint8Array(256 * 4 - 4);
  const commands = loadBlocks(fits, 4);
  equal(commands.length, 256);
  equal(commands[255]!.p2, 255);
  equal(commands[255]!.p1, 0x80);
  throws(() => loadBlocks(new Uint8Array(fits.length + 1), 4), { code: "GP_TOO_MANY_BLOCKS" });
});

Deno.test("loadBlocks() refuses block sizes out of range", () => {
  for (const size of [0, -1, 256, 1.5, NaN]) {
    throws(() => loadBlocks(fromHex("AA"), size), { code: "GP_BLOCK_SIZE" });
  }
});

Deno.test("acceptLoadBlock() assembles what loadBlocks() split", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 600, size: "max" }),
    fc.integer({ min: 8, max: 255 }),
    fc.array(
      fc.record({
        securityDomainAid: fc.uint8Array({ minLength: 5, maxLength: 16 }),
        signature: fc.uint8Array({ maxLength: 80 }),
      }, { noNullPrototype: true }),
      { maxLength: 3 },
    ),
    (loadFileDataBlock, size, dapBlocks) => {
      deepEqual(feed(loadBlocks(loadFileDataBlock, size, dapBlocks)), {
        kind: "complete",
        file: { dapBlocks, loadFileDataBlock },
      });
    },
  ));
});

Deno.test("acceptLoadBlock() refuses a block out of turn, keeping its progress", () => {
  const commands = loadBlocks(new Uint8Array(30), 8);
  const { progress } = acceptLoadBlock(LOAD_START, commands[0]!);
  for (const apdu of [commands[0]!, commands[2]!, { ...commands[1]!, p1: 0x01 }]) {
    const refused = acceptLoadBlock(progress, apdu);
    deepEqual(refused.step, { kind: "refuse", sw: 0x6a86 });
    equal(refused.progress, progress);
  }
  deepEqual(acceptLoadBlock(LOAD_START, command(0x80, 0xe8, 0, 0)).step, { kind: "refuse", sw: 0x6700 });
});

Deno.test("acceptLoadBlock() refuses a last block before the file is whole", () => {
  const commands = loadBlocks(new Uint8Array(30), 8);
  deepEqual(feed([commands[0]!, { ...commands[1]!, p1: 0x80 }]), { kind: "refuse", sw: 0x6a80 });
});

Deno.test("acceptLoadBlock() cannot be given a block after the 256th", () => {
  const block = command(0x80, 0xe8, 0, 0, new Uint8Array(255));
  let progress = LOAD_START;
  for (let n = 0; n < 256; n++) progress = acceptLoadBlock(progress, { ...block, p2: n }).progress;
  equal(acceptLoadBlock(progress, { ...block, p2: 0 }).step.kind, "refuse");
});

Deno.test("parseLoadFile() refuses other tags, missing C4, and DAP blocks after it", () => {
  const dap = { securityDomainAid: SD, signature: fromHex("AA") };
  const file = encodeLoadFile(fromHex("AA"), [dap]);
  throws(() => parseLoadFile(concat(file, encodeBer(0xe2, encodeBer(0x4f, SD)))), { code: "GP_LOAD_FILE" });
  throws(() => parseLoadFile(concat(fromHex("D40100"), file)), { code: "GP_LOAD_FILE" });
  throws(() => parseLoadFile(fromHex("E200")), { code: "TLV_MISSING" });
  throws(() => parseLoadFile(fromHex("E200C40100")), { code: "TLV_MISSING" });
  throws(() => parseLoadFile(fromHex("E2074F01AAC30200" + "00C400")), { code: "GP_LOAD_FILE" });
  throws(() => parseLoadFile(fromHex("C400C400")), { code: "TLV_DUPLICATE" });
  for (let length = 0; length < file.length; length++) {
    try {
      parseLoadFile(file.slice(0, length));
      ok(false, "a truncation was accepted");
    } catch (error) {
      ok(/^(TLV_|GP_LOAD_FILE)/.test((error as { code: string }).code ?? ""), String(error));
    }
  }
});

Deno.test("dapFor() finds the block of a Security Domain", () => {
  const dap = { securityDomainAid: SD, signature: fromHex("AA") };
  const file = parseLoadFile(encodeLoadFile(fromHex("AA"), [dap]));
  deepEqual(dapFor(file, SD), dap);
  equal(dapFor(file, fromHex("A000000151000001")), undefined);
});
