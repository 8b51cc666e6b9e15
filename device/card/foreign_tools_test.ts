/**
 * What GlobalPlatformPro and GPShell send, answered as a JCOP card does. The command sequences are written down from the
 * tools' public documentation and traces; the wrapped ones go through our own channel, which the public vectors judge.
 */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { command } from "shared/protocol/apdu/command.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { encodeLoadFile } from "shared/protocol/gp/load.ts";
import { putKeyCommand } from "shared/protocol/gp/put_key.ts";
import { parseBer } from "shared/protocol/tlv/ber.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { cardBench, keySet } from "./testing/bench.ts";

const PRELOADED = { preloaded: { package: {}, instance: {}, ssd: {} } } as const;

async function run(channel: SecureChannel, rows: readonly (readonly [string, string])[]): Promise<void> {
  for (const [hex, expected] of rows) {
    const [cla = 0, ins = 0, p1 = 0, p2 = 0, length = 0] = fromHex(hex.slice(0, 10));
    const data = fromHex(hex.slice(10, 10 + 2 * length));
    const { sw, data: answer } = await channel.send(command(cla, ins, p1, p2, data, 256));
    assert.equal(formatStatus(sw), expected, hex);
    // Whatever a tool parses is BER-TLV, and the default listings are.
    if (ins === 0xf2 && (p2 & 0x02) !== 0 && answer.length > 0) assert.ok(parseBer(answer).length > 0, hex);
  }
}

Deno.test("GlobalPlatformPro: information before any key", async () => {
  const bench = await cardBench(PRELOADED);
  const rows: readonly [string, RegExp][] = [
    ["00A4040000", /^6F.*9000$/],
    ["80CA9F7F00", /^9F7F2A.{84}9000$/],
    ["80CA004200", /^6A88$/],
    ["80CA004500", /^6A88$/],
    ["80CA006600", /^66.*9000$/],
    ["80CA006700", /^67.*A0.*9000$/],
    ["80CA00CF00", /^CF0A.*9000$/],
    ["80CA00C100", /^C103.*9000$/],
    ["80CA00E000", /^E0.*9000$/],
    ["80CAFF2100", /^FF21.*9000$/],
    ["80CA2F00025C0000", /^61.*9000$/],
    ["00CA006600", /^66.*9000$/],
    ["80CA006E00", /^6A88$/],
    ["8050000008010203040506070800", /^.{20}300370.*9000$/],
  ];
  for (const [sent, expected] of rows) assert.match(await bench.raw(sent), expected, sent);
});

Deno.test("GlobalPlatformPro: list, load, install, keys, lock, unlock, delete", async () => {
  for (const level of [0x01, 0x33] as const) {
    const bench = await cardBench(PRELOADED);
    const channel = await bench.issuer(level);
    const cap = readCap(writeTestCap({
      packageAid: fromHex("A00000000102"),
      appletAids: [fromHex("A0000000010203")],
      payloadBytes: 600,
    }));
    await run(channel, [
      ["80F28002024F0000", "9000"],
      ["80F240020A4F005C054F9F70C5CC00", "6A80"],
      ["80F24002094F005C064F9F70C5CC", "6A80"],
      ["80F24002094F005C054F9F70C5CC", "9000"],
      ["80F24002024F00", "9000"],
      ["80F22002024F00", "9000"],
      ["80F21002024F00", "9000"],
      ["80F22002094F005C054F9F70CECC", "9000"],
      ["80F21002024F00", "9000"],
      // The older layout, and GPShell's element E0.
      ["80F24000024F00", "9000"],
      ["80F2E000024F00", "9000"],
      ["80F2E002024F00", "9000"],
      // INSTALL [for load] without hash and without domain, with Le.
      ["80E602000B06A000000001020000000000", "9000"],
    ]);
    const file = encodeLoadFile(cap.loadFileDataBlock);
    const block = level === 0x01 ? 247 : 239;
    for (let number = 0; number * block < file.length; number++) {
      const data = file.slice(number * block, (number + 1) * block);
      const last = (number + 1) * block >= file.length ? 0x80 : 0;
      const { sw, data: answer } = await channel.send(command(0x80, 0xe8, last, number, data, 256));
      assert.deepEqual([formatStatus(sw), toHex(answer)], ["9000", "00"]);
    }
    const put = (version: number, replaceVersion: number) =>
      putKeyCommand({
        newVersion: version,
        replaceVersion,
        keys: keySet("5A".repeat(16)),
        encryptWithDek: (data) => channel.encryptWithDek(data),
      });
    await run(channel, [
      ["80E60C001D06A0000000010207A000000001020307A00000000102030100" + "02C90000" + "00", "9000"],
      ["80F04080" + "07A0000000010203", "9000"],
      ["80F04007" + "07A0000000010203", "9000"],
      ["80F0800700", "9000"],
      ["80F0800F00", "9000"],
      ["80F0807F00", "9000"],
      ["80F0800F00", "9000"],
      ["80E40000094F07A0000000010203", "9000"],
      ["80E40080084F06A00000000102", "9000"],
      ["80E40000084F06A00000000102", "6A88"],
    ]);
    for (const c of [put(1, 0), put(1, 1), put(2, 0x30)]) {
      const { sw, data } = await channel.send(c);
      assert.deepEqual([formatStatus(sw), data.length], ["9000", 10]);
    }
    await run(channel, [["80E4000003D20101", "9000"]]);
  }
});

Deno.test("a host that speaks extended APDUs is told 6700, and goes on with short ones", async () => {
  const bench = await cardBench();
  assert.equal(await bench.raw("80CA9F7F000000"), "6700");
  assert.equal(await bench.raw("00A4040000000 8A0000001510000000000".replaceAll(" ", "")), "6700");
  assert.match(await bench.raw("80CA9F7F00"), /9000$/);
});
