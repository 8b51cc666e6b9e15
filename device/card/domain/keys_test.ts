import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command } from "shared/protocol/apdu/command.ts";
import { deleteKeyVersionCommand } from "shared/protocol/gp/delete.ts";
import { getStatusCommand } from "shared/protocol/gp/get_status.ts";
import { parseKeyInformation } from "shared/protocol/gp/key_information.ts";
import { putPublicKeyCommands } from "shared/protocol/gp/public_key.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "shared/protocol/gp/put_key.ts";
import { keyCheckValue } from "shared/protocol/scp03/key_check_value.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { ISD_AID } from "../constants.ts";
import { cardBench, keySet, ok, statusOf } from "../testing/bench.ts";

const key = (hex: string) => new Secret(fromHex(hex));

/** PUT KEY of one AES key. */
function putSingle(channel: SecureChannel, p1: number, version: number, id: number, hex: string) {
  const padded = new Uint8Array(Math.ceil(hex.length / 32) * 16);
  padded.set(fromHex(hex));
  const encrypted = channel.encryptWithDek(padded);
  const field = [0x88, encrypted.length + 1, hex.length / 2, ...encrypted, 3, ...keyCheckValue(key(hex))];
  return channel.send(command(0x80, 0xd8, p1, id, Uint8Array.of(version, ...field)));
}

Deno.test("PUT KEY adds, replaces, mixes lengths by version, and key information shows it", async () => {
  const bench = await cardBench();
  let channel = await bench.issuer();
  const information = async () =>
    parseKeyInformation(await ok(bench.transmit(command(0x80, 0xca, 0x00, 0xe0, undefined, 256))))
      .map(({ id, version, components }) =>
        `${version}.${id}:${components.map((one) => `${one.type}/${one.length}`)}`
      );
  assert.deepEqual(await information(), ["48.1:136/16", "48.2:136/16", "48.3:136/16"]);
  for (const [version, bytes] of [[1, 24], [2, 32], [3, 16]] as const) {
    const keys = keySet("5A".repeat(bytes));
    const put = putKeyCommand({
      newVersion: version,
      keys,
      encryptWithDek: (data) => channel.encryptWithDek(data),
    });
    verifyPutKeyAnswer(await ok(channel.send(put)), version, keys);
  }
  assert.equal((await information()).length, 12);
  // Single keys: added one by one, a set opens a channel only when it is whole.
  await ok(putSingle(channel, 0, 0x40, 1, "11".repeat(16)));
  await ok(putSingle(channel, 0, 0x40, 2, "11".repeat(16)));
  assert.equal(await statusOf(bench.transmit(command(0x80, 0x50, 0x40, 0, new Uint8Array(8), 256))), "6A88");
  channel = await bench.issuer();
  assert.equal(
    await statusOf(putSingle(channel, 0, 0x40, 1, "11".repeat(16))),
    "6A80",
    "it is there already",
  );
  assert.equal(
    await statusOf(putSingle(channel, 0x41, 0x41, 1, "11".repeat(16))),
    "6A88",
    "nothing to replace",
  );
  const answer = await putSingle(channel, 0, 0x40, 3, "22".repeat(16));
  assert.deepEqual([answer.sw, toHex(answer.data)], [
    0x9000,
    "40" + toHex(keyCheckValue(key("22".repeat(16)))),
  ]);
  // Replaced by itself: the same version, another key.
  await ok(putSingle(channel, 0x40, 0x40, 3, "11".repeat(16)));
  await bench.select(ISD_AID);
  channel = await bench.open(keySet("11".repeat(16)), 0x33, { keyVersion: 0x40 });
  // Another identifier is kept and shown, and opens nothing.
  await ok(putSingle(channel, 0, 0x70, 1, "33".repeat(32)));
  await ok(putSingle(channel, 0, 0x70, 9, "33".repeat(24)));
  assert.ok((await information()).includes("112.9:136/24"));

  const refused: [number, number, string, string][] = [
    [0, 1, "41801041424344454647480341424300000000", "9484"],
    [0, 1, "41821041424344454647480341424300000000", "9484"],
    [0, 1, "4188", "6A80"],
    [0, 0, "41" + "88", "6A86"],
    [0, 1, "00", "6A80"],
    [0, 1, "80", "6A80"],
  ];
  for (const [p1, p2, data, sw] of refused) {
    assert.equal(await statusOf(channel.send(command(0x80, 0xd8, p1, p2, fromHex(data)))), sw, data);
  }
});

Deno.test("PUT KEY takes public keys, an RSA key in two commands, and no half of one", async () => {
  const bench = await cardBench();
  const channel = await bench.issuer();
  const point = fromHex("04" + "AB".repeat(64));
  const rsa = {
    kind: "rsa",
    modulus: new Uint8Array(256).fill(0xcd),
    exponent: Uint8Array.of(1, 0, 1),
  } as const;
  const ec = putPublicKeyCommands({ newVersion: 0x73, id: 1, key: { kind: "ec-p256", point } });
  assert.deepEqual(toHex(await ok(channel.send(ec[0]!))), "73");
  const two = putPublicKeyCommands({ newVersion: 0x74, id: 1, key: rsa });
  assert.equal(two.length, 2);
  assert.equal(await statusOf(channel.send(two[1]!)), "6A80", "the second half alone");
  await ok(channel.send(two[0]!));
  assert.equal(await statusOf(channel.send({ ...two[1]!, p2: 2 })), "6A86", "another key in between");
  await ok(channel.send(two[0]!));
  await ok(channel.send(getStatusCommand(0x80)));
  assert.equal(await statusOf(channel.send(two[1]!)), "6A80", "another command in between");
  for (const part of two) await ok(channel.send(part));
  const e0 = await ok(bench.transmit(command(0x80, 0xca, 0x00, 0xe0, undefined, 256)));
  assert.deepEqual(parseKeyInformation(e0).slice(3), [
    { id: 1, version: 0x73, components: [{ type: 0xb0, length: 65 }, { type: 0xf0, length: 1 }] },
    { id: 1, version: 0x74, components: [{ type: 0xa1, length: 256 }, { type: 0xa0, length: 3 }] },
  ]);
});

Deno.test("DELETE [key] takes single keys and versions, and leaves the issuer domain a way in", async () => {
  const bench = await cardBench();
  const channel = await bench.issuer();
  const keys = keySet("5A".repeat(16));
  const put = putKeyCommand({ newVersion: 2, keys, encryptWithDek: (data) => channel.encryptWithDek(data) });
  await ok(channel.send(put));
  const remove = (hex: string) => statusOf(channel.send(command(0x80, 0xe4, 0, 0, fromHex(hex))));
  assert.equal(await remove("D00101D20102"), "9000");
  assert.equal(await statusOf(bench.transmit(command(0x80, 0x50, 2, 0, new Uint8Array(8), 256))), "6A88");
  const again = await bench.issuer();
  const removeAgain = (hex: string) => statusOf(again.send(command(0x80, 0xe4, 0, 0, fromHex(hex))));
  assert.equal(await removeAgain("D00101D20102"), "6A88");
  assert.equal(await statusOf(again.send(deleteKeyVersionCommand(2))), "9000");
  assert.equal(await statusOf(again.send(deleteKeyVersionCommand(2))), "6A88");
  assert.equal(await statusOf(again.send(deleteKeyVersionCommand(0x30))), "6985", "the last set");
});
