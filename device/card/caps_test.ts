/**
 * CAP files of others on the card. Two are whole packages and load. The other two carry components whose sizes are not
 * theirs (a Header of 17 bytes that says 13, a Directory that is three letters): a card walks a load file by tag and
 * size, does not find a package in it, and refuses the last block with 6A80. So does this one, and nothing stays.
 */

import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { listStatus } from "shared/protocol/gp/get_status.ts";
import { installForInstall } from "shared/protocol/gp/install.ts";
import { vectorBytes } from "tests/vectors/load.ts";
import { cardBench, loadCap, ok, statusOf } from "./testing/bench.ts";

const EXPECTED = {
  coims_applet: "9000",
  keycard_math: "9000",
  minimal_stored: "6A80",
  streaming_deflate: "6A80",
} as const;

Deno.test("CAP files of others load where a card can load them, install, and go", async () => {
  for (const [name, expected] of Object.entries(EXPECTED)) {
    const bytes = vectorBytes(`caps/${name}.cap`);
    const cap = readCap(bytes);
    const bench = await cardBench();
    const channel = await bench.issuer(0x01);
    const packages = async () => await listStatus((c) => channel.send(c), 0x10);
    assert.equal(await loadCap(channel, bytes), expected, name);
    assert.equal(cap.irregularities.length > 0, expected !== "9000", `${name}: the reader says so before`);
    if (expected !== "9000") {
      assert.deepEqual(await packages(), [], name);
      continue;
    }
    const [entry] = await packages();
    assert.equal(toHex(entry!.aid), toHex(cap.packageAid));
    assert.deepEqual((entry!.moduleAids ?? []).map(toHex), cap.applets.map(toHex));
    for (const moduleAid of cap.applets) {
      await ok(
        channel.send(installForInstall({ packageAid: cap.packageAid, moduleAid, instanceAid: moduleAid })),
      );
      await bench.select(moduleAid);
    }
    const again = await bench.issuer();
    assert.equal(await statusOf(again.send(deleteCommand(cap.packageAid, { related: true }))), "9000");
  }
});

Deno.test("a load file with any size of a component changed is refused or is another package, and never 9000 by hash", async () => {
  const bytes = vectorBytes("caps/keycard_math.cap");
  const { loadFileDataBlock, sha256 } = readCap(bytes);
  const channel = await (await cardBench()).issuer(0x01);
  for (let at = 0; at < loadFileDataBlock.length; at += 61) {
    const content = loadFileDataBlock.slice();
    content[at]! ^= 0x01;
    assert.equal(await loadCap(channel, bytes, { content, hash: sha256 }), "6A80", `byte ${at}`);
  }
  for (const length of [0, 1, 2, 10, loadFileDataBlock.length - 1]) {
    assert.equal(
      await loadCap(channel, bytes, { content: loadFileDataBlock.slice(0, length) }),
      "6A80",
      `cut at ${length}`,
    );
  }
});
