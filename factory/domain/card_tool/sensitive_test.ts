import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command, decodeCommand } from "shared/protocol/apdu/command.ts";
import { isHidden, sensitivityOf, showCommand, showData } from "./sensitive.ts";

Deno.test("sensitivityOf() hides what can be secret, and shows what cannot", () => {
  const of = (hex: string) => sensitivityOf(decodeCommand(fromHex(hex)));
  assert.equal(of("80D8008103310102").command, "PUT KEY data");
  assert.equal(of("84D8008103310102").command, "PUT KEY data");
  assert.equal(of("80E2800003813701").command, "STORE DATA");
  assert.equal(of("80E28000017F").command, "STORE DATA", "a continued block has no DGI");
  assert.equal(of("80E2E00003000204").command, "STORE DATA", "encrypted with the DEK");
  assert.deepEqual(of("80E2000007000204DEADBEEF"), {});
  assert.equal(of("0020008004 31323334").command, "PIN");
  assert.equal(of("08D0000003100102").command, "PIN capsule");
  assert.equal(of("0814000002 2000").answer, "capsule");
  assert.equal(of("08CA9F17022000").answer, "capsule");
  assert.deepEqual(of("80CA9F7F00"), {});
  assert.deepEqual(of("80F28002024F00"), {});
  assert.deepEqual(of("8482330010795004D2E5A186F311F41C8185FD5C00"), {});
});

Deno.test("showCommand() never shows a byte of hidden data, and marks that it is hidden", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 255 }), (data) => {
    const shown = showCommand(command(0x80, 0xd8, 0, 0x81, data, 256), "PUT KEY data");
    assert.ok(isHidden(shown));
    assert.match(shown, /^80D80081[0-9A-F]{2}\[PUT KEY data: \d+ bytes hidden\]00$/);
    assert.equal(showData(data, "capsule"), `[capsule: ${data.length} bytes hidden]`);
  }));
  const open = command(0x80, 0xe4, 0, 0, Uint8Array.of(0x4f, 0x00));
  assert.equal(showCommand(open, undefined), "80E40000024F00");
  assert.equal(toHex(fromHex(showCommand(open, undefined))), "80E40000024F00");
});
