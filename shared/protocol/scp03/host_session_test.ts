import assert from "node:assert/strict";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command, decodeCommand, encodeCommand } from "shared/protocol/apdu/command.ts";
import { response } from "shared/protocol/apdu/response.ts";
import { loadVector } from "tests/vectors/load.ts";
import { finishHandshake, parseInitializeUpdate, startHandshake } from "./host_session.ts";
import type { SecurityLevel } from "./constants.ts";
import { deriveSessionKeys } from "./keys.ts";
import { commandMac, responseMac } from "./secure_messaging.ts";
import {
  cardSession,
  hostSession,
  mutations,
  type SessionVector,
  vectorKeys,
  vectorLevel,
} from "./testing/session_vector.ts";

const { scp03 } = loadVector<{ scp03: SessionVector[] }>("scp_vectors.json");
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const byId = (id: string) => scp03.find((vector) => vector.id === id)!;

Deno.test(`startHandshake(), finishHandshake() and wrap() give the bytes of all ${scp03.length} sessions`, async (t) => {
  assert.equal(scp03.length, 16);
  for (const vector of scp03) {
    const { exchanges = [] } = vector;
    await t.step(`${vector.id}: level ${vector.security_level}, ${exchanges.length} commands`, () => {
      const hostChallenge = fromHex(vector.host_challenge);
      const start = startHandshake({ keyVersion: vector.keys.kvn, hostChallenge });
      assert.equal(toHex(encodeCommand(start.command)), vector.initialize_update.capdu);
      const { session, externalAuthenticate } = hostSession(vector);
      assert.equal(toHex(encodeCommand(externalAuthenticate)), vector.external_authenticate.capdu);
      for (const exchange of exchanges) {
        const wrapped = session.wrap(decodeCommand(fromHex(exchange.plain)));
        assert.equal(toHex(encodeCommand(wrapped)), exchange.wrapped, exchange.name);
        if (exchange.rsp_wrapped_data === undefined) continue;
        const plain = session.unwrap(
          response(parseInt(exchange.rsp_sw!, 16), fromHex(exchange.rsp_wrapped_data)),
        );
        assert.equal(toHex(plain.data), exchange.rsp_plain_data, exchange.name);
        assert.equal(plain.sw, 0x9000);
      }
      assert.equal(session.alive, true);
    });
  }
});

Deno.test("finishHandshake() refuses a card cryptogram or challenge with any byte changed", () => {
  for (const vector of scp03) {
    const length = vector.mode === "S16" ? 16 : 8;
    const good = fromHex(vector.initialize_update.rapdu_data);
    let refused = 0;
    for (const changed of mutations(good)) {
      const parse = () => parseInitializeUpdate(changed, vector.mode);
      const finish = () =>
        finishHandshake({
          parsed: parse(),
          hostChallenge: fromHex(vector.host_challenge),
          keys: vectorKeys(vector),
          level: vectorLevel(vector),
        });
      const at = changed.findIndex((byte, i) => byte !== good[i]);
      if (at === 11) assert.throws(parse, code("SCP03_PROTOCOL"));
      else if (at === 12 && changed[12] !== (good[12]! ^ 0x80)) assert.throws(parse, code("SCP03_MALFORMED"));
      else if (at >= 13 && at < 13 + 2 * length) {
        assert.throws(finish, code("SCP03_CARD_CRYPTOGRAM"), `${vector.id} byte ${at}`);
        refused++;
      }
    }
    assert.equal(refused, 4 * length);
  }
});

Deno.test("finishHandshake() refuses other keys and levels that do not exist", () => {
  const vector = byId("pysim/SCP03_Test_AES128_33");
  const parsed = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
  const hostChallenge = fromHex(vector.host_challenge);
  const keys = { ...vectorKeys(vector), mac: new Secret(new Uint8Array(16)) };
  assert.throws(
    () => finishHandshake({ parsed, hostChallenge, keys, level: 0x33 }),
    code("SCP03_CARD_CRYPTOGRAM"),
  );
  for (const level of [0x02, 0x10, 0x30, 0x32, 0xff]) {
    assert.throws(
      () =>
        finishHandshake({ parsed, hostChallenge, keys: vectorKeys(vector), level: level as SecurityLevel }),
      code("SCP03_LEVEL"),
    );
  }
});

/** Sessions up to the given exchange, its command wrapped. */
function hostAt(vector: SessionVector, index: number) {
  const { session } = hostSession(vector);
  vector.exchanges!.slice(0, index + 1).forEach(({ plain }) => session.wrap(decodeCommand(fromHex(plain))));
  return session;
}

Deno.test("unwrap() refuses every changed byte of every answer with R-MAC, and the session is dead then", () => {
  let refused = 0;
  for (const vector of scp03) {
    if ((vectorLevel(vector) & 0x10) === 0) continue;
    for (const [index, exchange] of (vector.exchanges ?? []).entries()) {
      if (exchange.rsp_wrapped_data === undefined) continue;
      const good = fromHex(exchange.rsp_wrapped_data);
      for (const changed of mutations(good)) {
        const session = hostAt(vector, index);
        assert.throws(() => session.unwrap(response(0x9000, changed)), code("SCP03_RMAC_WRONG"), vector.id);
        assert.equal(session.alive, false);
        assert.throws(() => session.wrap(command(0x80, 0xf2, 0, 0)), code("SCP03_DEAD"));
        assert.throws(() => session.unwrap(response(0x9000, good)), code("SCP03_DEAD"));
        assert.throws(() => session.encryptWithDek(new Uint8Array(16)), code("SCP03_DEAD"));
        refused++;
      }
      // The status word is under the MAC, too; one without data carries none.
      assert.throws(() => hostAt(vector, index).unwrap(response(0x6310, good)), code("SCP03_RMAC_WRONG"));
      assert.throws(
        () => hostAt(vector, index).unwrap(response(0x9000, good.slice(1))),
        code("SCP03_RMAC_WRONG"),
      );
      assert.throws(() => hostAt(vector, index).unwrap(response(0x9000)), code("SCP03_RMAC_MISSING"));
      assert.throws(
        () => hostAt(vector, index).unwrap(response(0x9000, good.slice(-7))),
        code("SCP03_RMAC_MISSING"),
      );
    }
  }
  assert.ok(refused > 1000, `${refused}`);
});

Deno.test("unwrap() refuses an answer replayed at the next command", () => {
  const vector = byId("samsung/Scp03Aes128S8");
  const session = hostAt(vector, 0);
  const first = response(0x9000, fromHex(vector.exchanges![0]!.rsp_wrapped_data!));
  session.unwrap(first);
  session.wrap(decodeCommand(fromHex(vector.exchanges![1]!.plain)));
  assert.throws(() => session.unwrap(first), code("SCP03_RMAC_WRONG"));
});

Deno.test("unwrap() passes errors and bare warnings without R-MAC, never their data, and the session goes on", () => {
  const vector = byId("samsung/Scp03Aes256S8");
  for (const sw of [0x6985, 0x6a88, 0x63c2, 0x9f00, 0x6f00]) {
    const { session } = hostSession(vector);
    const card = cardSession(vector);
    card.unwrap(session.wrap(command(0x80, 0xf2, 0, 0)));
    assert.deepEqual(session.unwrap(response(sw)), response(sw));
    // Counter and chaining value are consumed on both sides: the next command still unwraps.
    const next = card.unwrap(session.wrap(command(0x80, 0xca, 0, 0x66, Uint8Array.of(7))));
    assert.ok("data" in next);
    assert.deepEqual(session.unwrap(card.wrap(response(0x9000, Uint8Array.of(9)))).data, Uint8Array.of(9));
  }
  const { session } = hostSession(vector);
  session.wrap(command(0x80, 0xf2, 0, 0));
  assert.deepEqual(session.unwrap(response(0x6985, Uint8Array.of(1, 2, 3))), response(0x6985));
});

Deno.test("unwrap() refuses a right R-MAC over data that does not decrypt", () => {
  // A card that does not encrypt although the level says so: the MAC is right, the padding cannot be.
  for (const data of [new Uint8Array(5), new Uint8Array(16).fill(0x55)]) {
    const vector = byId("samsung/Scp03Aes128S8");
    const session = hostSession(vector).session;
    const card = cardSession({ ...vector });
    const wrapped = session.wrap(command(0x80, 0xf2, 0, 0));
    card.unwrap(wrapped);
    const honest = card.wrap(response(0x9000, Uint8Array.of(1)));
    assert.equal(honest.data.length, 24);
    assert.throws(
      () => session.unwrap(macOnly(vector, wrapped, data)),
      code("SCP03_DECRYPTION"),
      `${data.length}`,
    );
    assert.equal(session.alive, false);
  }
});

/** The answer with a right R-MAC over `data` as it is. */
function macOnly(vector: SessionVector, wrapped: ReturnType<typeof command>, data: Uint8Array) {
  const parsed = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
  const keys = deriveSessionKeys(vectorKeys(vector), fromHex(vector.host_challenge), parsed.cardChallenge);
  const authenticate = decodeCommand(fromHex(vector.external_authenticate.capdu));
  const first = commandMac(
    keys.mac,
    new Uint8Array(16),
    0x84,
    authenticate,
    authenticate.data.subarray(0, 8),
    8,
  );
  const chaining = commandMac(keys.mac, first, 0x84, wrapped, wrapped.data.subarray(0, -8), 8);
  return response(0x9000, concat(data, responseMac(keys.rmac, chaining, data, 0x9000).subarray(0, 8)));
}

Deno.test("wrap() takes up to 239 bytes at level 33 and no more, and refuses before it moves the counter", () => {
  for (
    const [id, level, max] of [
      ["samsung/Scp03Aes128S8", "33", 239],
      ["samsung/Scp03Aes128S16", "33", 223],
      ["samsung/Scp03Aes128S8", "03", 239],
      ["samsung/Scp03Aes128S8", "01", 247],
      ["samsung/Scp03Aes128S16", "11", 239],
    ] as const
  ) {
    const vector = { ...byId(id), security_level: level };
    const { session, externalAuthenticate } = hostSession(vector);
    const card = cardSession({
      ...vector,
      external_authenticate: { capdu: toHex(encodeCommand(externalAuthenticate)) },
    });
    assert.throws(
      () => session.wrap(command(0x80, 0xe2, 0, 0, new Uint8Array(max + 1))),
      code("SCP03_TOO_LONG"),
    );
    assert.equal(session.alive, true);
    const data = new Uint8Array(max).fill(0xa5);
    const wrapped = session.wrap(command(0x80, 0xe2, 0, 0, data));
    assert.ok(wrapped.data.length <= 255);
    const plain = card.unwrap(wrapped);
    assert.deepEqual("data" in plain ? plain.data : plain, data);
  }
});

Deno.test("wrap() puts wireCla on the wire and class 84 under the MAC", () => {
  const vector = byId("samsung/Scp03Aes128S8");
  const a = hostSession(vector).session.wrap(command(0x08, 0xf2, 0, 0), { wireCla: 0x08 });
  const b = hostSession(vector).session.wrap(command(0x80, 0xf2, 0, 0));
  assert.deepEqual([a.cla, b.cla], [0x08, 0x84]);
  assert.deepEqual(a.data, b.data);
  assert.equal(a.data.length, 8);
});

Deno.test("wrap() keeps logical channels on the wire, out of the MAC, and refuses channels above 3", () => {
  const vector = byId("samsung/Scp03Aes128S8");
  const a = hostSession(vector).session.wrap(command(0x82, 0xf2, 0, 0));
  const b = hostSession(vector).session.wrap(command(0x80, 0xf2, 0, 0));
  assert.equal(a.cla, 0x86);
  assert.deepEqual(a.data, b.data);
  assert.throws(() => hostSession(vector).session.wrap(command(0xc0, 0xf2, 0, 0)), code("SCP03_CLASS"));
});

Deno.test("level 00 wraps nothing", () => {
  const { session } = hostSession({ ...byId("samsung/Scp03Aes128S8"), security_level: "00" });
  const plain = command(0x80, 0xca, 0x9f, 0x7f, undefined, 256);
  assert.deepEqual(session.wrap(plain), plain);
  assert.deepEqual(session.unwrap(response(0x9000, Uint8Array.of(1))), response(0x9000, Uint8Array.of(1)));
});

Deno.test("encryptWithDek() gives the recorded PUT KEY block and takes whole blocks only", () => {
  const vector = byId("jcop4/real-card-mac-only");
  const { session } = hostSession(vector);
  const block = session.encryptWithDek(fromHex("0F0E0D0C0B0A09080706050403020100"));
  assert.equal(toHex(block), "FAC3AF9FB177982EABA2E63D9EF03986"); // scll/put-key-block, the same DEK
  for (const length of [0, 15, 24]) {
    assert.throws(() => session.encryptWithDek(new Uint8Array(length)), code("SCP03_DEK_LENGTH"));
  }
});

Deno.test("kill() wipes the session's copies and leaves the caller's static keys alone", () => {
  const vector = byId("samsung/Scp03Aes128S8");
  const keys = vectorKeys(vector);
  const { session } = finishHandshake({
    parsed: parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data)),
    hostChallenge: fromHex(vector.host_challenge),
    keys,
    level: 0x33,
  });
  session.kill();
  assert.equal(toHex(keys.dek.reveal()), vector.keys.dek);
  assert.throws(() => session.wrap(command(0x80, 0xf2, 0, 0)), code("SCP03_DEAD"));
});
