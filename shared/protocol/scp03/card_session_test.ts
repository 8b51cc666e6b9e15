import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command, decodeCommand, encodeCommand } from "shared/protocol/apdu/command.ts";
import { response } from "shared/protocol/apdu/response.ts";
import { loadVector } from "tests/vectors/load.ts";
import { Scp03CardSession } from "./card_session.ts";
import { SECURITY_LEVELS } from "./constants.ts";
import { finishHandshake } from "./host_session.ts";
import { parseInitializeUpdate } from "./initialize_update.ts";
import { deriveSessionKeys } from "./keys.ts";
import { commandMac, plainDataMax } from "./secure_messaging.ts";
import {
  cardSession,
  mutations,
  type SessionVector,
  unauthenticatedCardSession,
  vectorKeys,
  vectorLevel,
} from "./testing/session_vector.ts";

const { scp03 } = loadVector<{ scp03: SessionVector[] }>("scp_vectors.json");

Deno.test(`Scp03CardSession unwraps and answers all ${scp03.length} sessions byte for byte`, async (t) => {
  let overlong = 0;
  for (const vector of scp03) {
    const { exchanges = [] } = vector;
    await t.step(`${vector.id}: level ${vector.security_level}, ${exchanges.length} commands`, () => {
      const card = cardSession(vector);
      assert.equal(card.level, vectorLevel(vector));
      for (const exchange of exchanges) {
        const plain = card.unwrap(decodeCommand(fromHex(exchange.wrapped)));
        assert.ok("data" in plain, exchange.name);
        assert.equal(toHex(encodeCommand(plain)), exchange.plain, exchange.name);
        if (exchange.rsp_plain_data === undefined) continue;
        const answer = card.wrap(response(parseInt(exchange.rsp_sw!, 16), fromHex(exchange.rsp_plain_data)));
        if (exchange.name === "list_issuer_domain" && vector.id !== "samsung/Scp03Aes256S8") {
          // The recorded card padded these five with a block too many; hosts take it, this card does not make it.
          assert.equal(exchange.rsp_wrapped_data!.length, 2 * (answer.data.length + 16));
          assert.equal(exchange.rsp_wrapped_data!.slice(0, 32), toHex(answer.data.subarray(0, 16)));
          overlong++;
          continue;
        }
        assert.equal(toHex(answer.data), exchange.rsp_wrapped_data, exchange.name);
      }
    });
  }
  assert.equal(overlong, 5);
});

Deno.test("verifyExternalAuthenticate() refuses every changed byte, and the session is over", () => {
  for (const vector of scp03) {
    const good = fromHex(vector.external_authenticate.capdu);
    for (const changed of mutations(good)) {
      if (changed[4] !== good[4]) continue; // another Lc is no APDU
      if (changed[0] === (good[0]! ^ 0x01)) continue; // the logical channel is not under the MAC
      const card = unauthenticatedCardSession(vector);
      assert.equal(card.verifyExternalAuthenticate(decodeCommand(changed)), false, vector.id);
      assert.equal(card.alive, false);
      assert.equal(card.verifyExternalAuthenticate(decodeCommand(good)), false, "a second attempt");
    }
    for (const length of [0, 8, 15]) {
      const card = unauthenticatedCardSession(vector);
      const short = decodeCommand(good);
      assert.equal(card.verifyExternalAuthenticate({ ...short, data: short.data.slice(0, length) }), false);
    }
    const card = cardSession(vector);
    assert.equal(card.verifyExternalAuthenticate(decodeCommand(good)), false, "once authenticated");
  }
});

Deno.test("verifyExternalAuthenticate() refuses a wrong cryptogram under a right MAC, and a right one at a wrong level", () => {
  for (const vector of scp03) {
    const good = decodeCommand(fromHex(vector.external_authenticate.capdu));
    const hostChallenge = fromHex(vector.host_challenge);
    const { cardChallenge } = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
    const { mac } = deriveSessionKeys(vectorKeys(vector), hostChallenge, cardChallenge);
    const length = hostChallenge.length;
    const macked = (p1: number, cryptogram: Uint8Array) => {
      const full = commandMac(mac, new Uint8Array(16), 0x84, { ...good, p1 }, cryptogram, length);
      return { ...good, p1, data: concat(cryptogram, full.subarray(0, length)) };
    };
    const right = good.data.subarray(0, length);
    assert.equal(unauthenticatedCardSession(vector).verifyExternalAuthenticate(macked(good.p1, right)), true);
    for (const changed of mutations(right)) {
      const card = unauthenticatedCardSession(vector);
      assert.equal(card.verifyExternalAuthenticate(macked(good.p1, changed)), false, vector.id);
    }
    for (const p1 of [0x02, 0x10, 0x30, 0x32, 0x80]) {
      assert.equal(unauthenticatedCardSession(vector).verifyExternalAuthenticate(macked(p1, right)), false);
    }
  }
});

Deno.test("unwrap() answers 6988 to every changed byte of every wrapped command, and the session is over", () => {
  let refused = 0;
  for (const vector of scp03) {
    for (const [index, { wrapped }] of (vector.exchanges ?? []).entries()) {
      const good = decodeCommand(fromHex(wrapped));
      const wrong = [
        ...[...mutations(good.data)].map((data) => ({ ...good, data })),
        { ...good, ins: good.ins ^ 1 },
        { ...good, p1: good.p1 ^ 1 },
        { ...good, p2: good.p2 ^ 1 },
        { ...good, cla: good.cla ^ 0x80 },
        { ...good, data: good.data.slice(1) },
        { ...good, data: good.data.slice(0, -1) },
        { ...good, data: new Uint8Array(0) },
      ];
      for (const changed of wrong) {
        const card = cardSession(vector);
        vector.exchanges!.slice(0, index).forEach((e) => card.unwrap(decodeCommand(fromHex(e.wrapped))));
        assert.deepEqual(card.unwrap(changed), { sw: 0x6988 }, vector.id);
        assert.equal(card.alive, false);
        assert.deepEqual(card.unwrap(good), { sw: 0x6988 });
        refused++;
      }
    }
  }
  assert.ok(refused > 2000, `${refused}`);
});

Deno.test("unwrap() refuses a command sent twice", () => {
  for (const vector of scp03.filter(({ exchanges = [] }) => exchanges.length > 0)) {
    const card = cardSession(vector);
    const first = decodeCommand(fromHex(vector.exchanges![0]!.wrapped));
    assert.ok("data" in card.unwrap(first));
    assert.deepEqual(card.unwrap(first), { sw: 0x6988 });
  }
});

Deno.test("wrap() adds no R-MAC to errors and bare warnings", () => {
  const vector = scp03.find(({ id }) => id === "samsung/Scp03Aes128S8")!;
  for (const sw of [0x6985, 0x63c2, 0x9f00]) {
    const card = cardSession(vector);
    card.unwrap(decodeCommand(fromHex(vector.exchanges![0]!.wrapped)));
    assert.deepEqual(card.wrap(response(sw, sw === 0x6985 ? Uint8Array.of(1) : undefined)), response(sw));
  }
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const session = fc.record({
  keyLength: fc.constantFrom(16, 24, 32),
  length: fc.constantFrom(8 as const, 16 as const),
  level: fc.constantFrom(...SECURITY_LEVELS),
  wireCla: fc.constantFrom(undefined, 0x08),
}).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    enc: bytes(shape.keyLength),
    mac: bytes(shape.keyLength),
    dek: bytes(shape.keyLength),
    hostChallenge: bytes(shape.length),
    cardChallenge: bytes(shape.length),
    commands: fc.array(
      fc.record({
        ins: fc.nat({ max: 255 }),
        p1: fc.nat({ max: 255 }),
        p2: fc.nat({ max: 255 }),
        data: fc.uint8Array({ maxLength: plainDataMax((shape.level & 0x02) !== 0, shape.length) }),
        le: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
        answer: fc.uint8Array({ maxLength: plainDataMax((shape.level & 0x20) !== 0, shape.length) }),
        sw: fc.constantFrom(0x9000, 0x6310, 0x6985, 0x63c1),
      }),
      { maxLength: 6 },
    ),
  })
);

Deno.test("host and card understand each other for any keys, level, mode and commands", () => {
  fc.assert(fc.property(session, ({ shape, enc, mac, dek, hostChallenge, cardChallenge, commands }) => {
    const keys = { enc: new Secret(enc), mac: new Secret(mac), dek: new Secret(dek) };
    const card = new Scp03CardSession({
      keys,
      hostChallenge,
      cardChallenge,
      ...(shape.wireCla === undefined ? {} : { macCla: 0x84 }),
    });
    const parsed = {
      keyDiversificationData: new Uint8Array(10),
      keyVersion: 0x30,
      scpId: 3,
      i: shape.length === 16 ? 0x61 : 0x60,
      cardChallenge,
      cardCryptogram: card.cardCryptogram,
      s16: shape.length === 16,
    };
    const { session: host, externalAuthenticate } = finishHandshake({
      parsed,
      hostChallenge,
      keys,
      level: shape.level,
    });
    assert.equal(card.verifyExternalAuthenticate(externalAuthenticate), true);
    const cla = shape.wireCla ?? 0x80;
    const options = shape.wireCla === undefined ? {} : { wireCla: shape.wireCla };
    for (const { ins, p1, p2, data, le, answer, sw } of commands) {
      const plain = command(cla, ins, p1, p2, data, le);
      // Over the wire as bytes, so that lengths have to fit.
      const received = decodeCommand(encodeCommand(host.wrap(plain, options)));
      assert.deepEqual(card.unwrap(received), plain);
      const secured = (shape.level & 0x10) !== 0;
      const bare = secured && sw !== 0x9000 && !(sw === 0x6310 && answer.length > 0) && sw !== 0x63c1;
      const expected = secured && (sw === 0x6985 || bare) ? response(sw) : response(sw, answer);
      assert.deepEqual(host.unwrap(card.wrap(response(sw, answer))), expected);
    }
  }));
});
