/** SCP03 of the card at every level, mode, key length and `i`, and the public sessions played against a whole card. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { decodeResponse } from "shared/protocol/apdu/response.ts";
import { command } from "shared/protocol/apdu/command.ts";
import { getStatusCommand } from "shared/protocol/gp/get_status.ts";
import { putKeyCommand } from "shared/protocol/gp/put_key.ts";
import { SECURITY_LEVELS } from "shared/protocol/scp03/constants.ts";
import { parseInitializeUpdate } from "shared/protocol/scp03/initialize_update.ts";
import { mutations, type SessionVector } from "shared/protocol/scp03/testing/session_vector.ts";
import { loadVector } from "tests/vectors/load.ts";
import { softwareCardCrypto } from "./crypto.ts";
import { cardBench, installDomain, keySet, ok, statusOf } from "./testing/bench.ts";

const I_VALUES = [0x00, 0x10, 0x20, 0x30, 0x60, 0x70];
const S16 = 0x01;
const key = (hex: string, version = "01") => ({ version, enc: hex, mac: hex, dek: hex });

Deno.test("VirtualCard speaks SCP03 at every level, S8 and S16, AES-128, 192, 256, with every i", async () => {
  let sessions = 0;
  let refused = 0;
  for (const bytes of [16, 24, 32]) {
    for (const i of I_VALUES.flatMap((value) => [value, value | S16])) {
      const hex = "5A".repeat(bytes);
      const bench = await cardBench({ i: toHex(Uint8Array.of(i)), isdKeys: key(hex) });
      for (const level of SECURITY_LEVELS) {
        const offered = ((level & 0x10) === 0 || (i & 0x20) !== 0) &&
          ((level & 0x20) === 0 || (i & 0x40) !== 0);
        const mode = (i & S16) !== 0 ? "S16" as const : "S8" as const;
        const opening = bench.open(keySet(hex), level, { mode });
        if (!offered) {
          await assert.rejects(opening, { code: "SCP03_AUTHENTICATION_FAILED" });
          refused++;
          continue;
        }
        const channel = await opening;
        assert.equal(channel.info.sequenceCounter === undefined, (i & 0x10) === 0);
        assert.equal(channel.info.cardChallenge.length, mode === "S16" ? 16 : 8);
        // Data in, data out, no data, an error, and something after it.
        const keys = keySet("C3".repeat(bytes));
        const version = level + 0x40 & 0x7f;
        await ok(channel.send(putKeyCommand({
          newVersion: version,
          keys,
          encryptWithDek: (data) => channel.encryptWithDek(data),
        })));
        assert.equal(await statusOf(channel.send(getStatusCommand(0x40))), "6A88");
        assert.equal((await ok(channel.send(getStatusCommand(0x80)))).length > 0, true);
        assert.equal(await statusOf(channel.send(command(0x80, 0xf0, 0x80, 0x55))), "6985");
        await ok(channel.send(command(0x80, 0xca, 0x9f, 0x7f, undefined, 256)));
        sessions++;
      }
    }
  }
  console.log(`SCP03: ${sessions} sessions, ${refused} levels that i does not offer refused`);
});

Deno.test("a pseudo-random challenge follows the counter, a random one does not repeat", async () => {
  const challenge = async (i: string, isdKeys = key("5A".repeat(16))) => {
    const bench = await cardBench({ i, isdKeys });
    const answer = async () =>
      parseInitializeUpdate((await bench.transmit(command(0x80, 0x50, 0, 0, new Uint8Array(8), 256))).data);
    return [await answer(), await answer()].map((one) => toHex(one.cardChallenge));
  };
  assert.deepEqual(await challenge("70"), await challenge("70"), "two cards with one key, one counter");
  assert.notDeepEqual(await challenge("60"), await challenge("60"));
  const [first, second] = await challenge("70");
  assert.notEqual(first, second);
});

Deno.test("each domain has its own counter, failures and keys, and uses its parent's when it has none", async () => {
  const bench = await cardBench({ failedAuthenticationsMax: 2 });
  const aid = fromHex("D000000001");
  await ok((await bench.issuer()).send(installDomain(aid)));
  await bench.select(aid);
  let channel = await bench.open();
  const keys = keySet("77".repeat(24));
  await ok(channel.send(putKeyCommand({
    newVersion: 5,
    keys,
    encryptWithDek: (data) => channel.encryptWithDek(data),
  })));
  await bench.select(aid);
  await assert.rejects(bench.open(), { code: "SCP03_CARD_CRYPTOGRAM" });
  for (let i = 0; i < 2; i++) {
    assert.match(await bench.raw("80500000080000000000000000"), /9000$/);
    assert.equal(await bench.raw("8482330010" + "00".repeat(16)), "6300");
  }
  assert.equal(await bench.raw("80500000080000000000000000"), "6983");
  bench.card.powerOn();
  await bench.select(aid);
  assert.equal(await bench.raw("80500000080000000000000000"), "6983", "power gives no try back");
  channel = await bench.issuer();
  assert.equal(channel.alive, true, "the issuer domain is not blocked");
});

const { scp03 } = loadVector<{ scp03: SessionVector[] }>("scp_vectors.json");

Deno.test(`a whole card answers the handshakes of all ${scp03.length} public sessions, and refuses each byte changed`, async () => {
  let changedCount = 0;
  let commands = 0;
  for (const vector of scp03) {
    const recorded = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
    // The challenge is the recorded one: a card with random challenges that draws just that.
    const crypto = { ...softwareCardCrypto(), random: () => recorded.cardChallenge.slice() };
    const { kvn, enc, mac, dek } = vector.keys;
    const version = toHex(Uint8Array.of(recorded.keyVersion || kvn || 1));
    const card = () =>
      cardBench({
        crypto,
        cplc: "00".repeat(42),
        i: toHex(Uint8Array.of((recorded.i & ~0x10) | 0x60)),
        isdKeys: { version, enc, mac, dek },
        keyDiversificationData: toHex(recorded.keyDiversificationData),
      });
    const begin = async () => {
      const bench = await card();
      const answer = decodeResponse(await bench.card.process(fromHex(vector.initialize_update.capdu)));
      assert.equal(answer.sw, 0x9000, vector.id);
      assert.equal(
        toHex(parseInitializeUpdate(answer.data).cardCryptogram),
        toHex(recorded.cardCryptogram),
        vector.id,
      );
      return bench;
    };
    const bench = await begin();
    assert.equal(await bench.raw(vector.external_authenticate.capdu), "9000", vector.id);
    for (const { wrapped } of vector.exchanges ?? []) {
      // What it asks for this card may not have; that it unwraps is the point.
      const sw = (await bench.raw(wrapped)).slice(-4);
      assert.notEqual(sw, "6988", `${vector.id}: ${wrapped}`);
      commands++;
    }
    const good = fromHex(vector.external_authenticate.capdu);
    for (const changed of mutations(good)) {
      if (changed[0] !== good[0] || changed[4] !== good[4]) continue;
      assert.notEqual(toHex(await (await begin()).card.process(changed)), "9000", vector.id);
      changedCount++;
    }
  }
  console.log(
    `public sessions: ${scp03.length}, ${commands} commands, ${changedCount} changed handshakes refused`,
  );
});
