import assert from "node:assert/strict";
import { toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { command, type CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { Scp03CardSession } from "./card_session.ts";
import type { SecurityLevel } from "./constants.ts";
import { encodeInitializeUpdate } from "./initialize_update.ts";
import { pseudoRandomCardChallenge, type StaticKeys } from "./keys.ts";
import { SecureChannel, type SecureChannelOptions } from "./secure_channel.ts";

const AID = Uint8Array.of(0xa0, 0, 0, 1, 0x51, 0, 0, 0);
const KEY_VERSION = 0x30;
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

function keySet(fill: number, length = 16): StaticKeys {
  const key = (n: number) => new Secret(new Uint8Array(length).fill(fill + n));
  return { enc: key(0), mac: key(1), dek: key(2) };
}

/** A card that answers every command with its own data in reverse. `sent` counts what it was sent. */
class EchoCard {
  readonly sent: CommandApdu[] = [];
  session: Scp03CardSession | undefined;
  /** Changes an answer on its way to the host. */
  tamper: (answer: ResponseApdu, c: CommandApdu) => ResponseApdu = (answer) => answer;

  constructor(
    readonly keys: StaticKeys,
    readonly options: { s16?: boolean; macCla?: number; kvn?: number } = {},
  ) {}

  transmit = (c: CommandApdu): Promise<ResponseApdu> => {
    this.sent.push(c);
    return Promise.resolve(this.tamper(this.answer(c), c));
  };

  answer(c: CommandApdu): ResponseApdu {
    if (c.ins === 0x50) {
      const sequenceCounter = Uint8Array.of(0, 0, this.sent.length);
      const mode = this.options.s16 ? "S16" : "S8";
      const cardChallenge = pseudoRandomCardChallenge(this.keys.enc, sequenceCounter, AID, mode);
      this.session = new Scp03CardSession({
        keys: this.keys,
        hostChallenge: c.data,
        cardChallenge,
        mode,
        ...(this.options.macCla === undefined ? {} : { macCla: this.options.macCla }),
      });
      const { cardCryptogram } = this.session;
      const keyVersion = this.options.kvn ?? KEY_VERSION;
      const i = this.options.s16 ? 0x71 : 0x70;
      const keyDiversificationData = new Uint8Array(10).fill(7);
      return response(
        0x9000,
        encodeInitializeUpdate({
          keyDiversificationData,
          keyVersion,
          scpId: 3,
          i,
          cardChallenge,
          cardCryptogram,
          sequenceCounter,
        }),
      );
    }
    if (c.ins === 0x82) return response(this.session!.verifyExternalAuthenticate(c) ? 0x9000 : 0x6300);
    const plain = this.session!.unwrap(c);
    if (!("data" in plain)) return response(plain.sw);
    return this.session!.wrap(response(0x9000, plain.data.toReversed()));
  }
}

function open(card: EchoCard, options: Partial<SecureChannelOptions> = {}): Promise<SecureChannel> {
  return SecureChannel.open({
    transmit: card.transmit,
    keyVersion: KEY_VERSION,
    keys: card.keys,
    level: 0x33,
    random,
    ...options,
  });
}

Deno.test("SecureChannel carries commands at every level, key length and mode", async () => {
  for (const level of [0x01, 0x03, 0x11, 0x13, 0x33] as SecurityLevel[]) {
    for (const length of [16, 24, 32]) {
      for (const s16 of [false, true]) {
        const card = new EchoCard(keySet(3, length), { s16 });
        const channel = await open(card, { level, mode: s16 ? "S16" : "S8" });
        assert.equal(channel.level, level);
        assert.equal(channel.info.s16, s16);
        for (const data of [Uint8Array.of(1, 2, 3), new Uint8Array(0), new Uint8Array(200).fill(9)]) {
          const answer = await channel.send(command(0x80, 0xe2, 1, 2, data));
          assert.deepEqual(answer, response(0x9000, data.toReversed()));
        }
      }
    }
  }
});

Deno.test("SecureChannel sends class wireCla with the MAC over 84", async () => {
  const card = new EchoCard(keySet(3), { macCla: 0x84 });
  const channel = await open(card, { wireCla: 0x08 });
  assert.deepEqual((await channel.send(command(0x08, 0xf2, 0, 0))).sw, 0x9000);
  assert.deepEqual(card.sent.map(({ cla }) => cla), [0x80, 0x84, 0x08]);
});

Deno.test("open() asks the key function with what the card says", async () => {
  const card = new EchoCard(keySet(3));
  const channel = await open(card, {
    keyVersion: 0,
    keys: (info) => {
      assert.equal(toHex(info.keyDiversificationData), "07".repeat(10));
      assert.equal(info.keyVersion, KEY_VERSION);
      return Promise.resolve(card.keys);
    },
  });
  assert.equal(channel.alive, true);
});

Deno.test("open() sends nothing after INITIALIZE UPDATE when the card does not have the keys", async () => {
  const card = new EchoCard(keySet(3));
  await assert.rejects(open(card, { keys: keySet(40) }), code("SCP03_CARD_CRYPTOGRAM"));
  assert.deepEqual(card.sent.map(({ ins }) => ins), [0x50]);
});

Deno.test("open() refuses another key version than asked, and stops", async () => {
  const card = new EchoCard(keySet(3), { kvn: 0x31 });
  await assert.rejects(open(card), code("SCP03_KEY_VERSION"));
  assert.equal(card.sent.length, 1);
});

Deno.test("open() reports refused handshake commands by their own codes and tries no second time", async () => {
  const refuses = (ins: number, sw: number) => {
    const card = new EchoCard(keySet(3));
    card.tamper = (answer, c) => c.ins === ins ? response(sw) : answer;
    return card;
  };
  const early = refuses(0x50, 0x6a88);
  await assert.rejects(open(early), code("SCP03_INITIALIZE_REFUSED"));
  assert.equal(early.sent.length, 1);
  for (const sw of [0x6300, 0x6982, 0xbeaf]) {
    const late = refuses(0x82, sw);
    await assert.rejects(open(late), code("SCP03_AUTHENTICATION_FAILED"));
    assert.equal(late.sent.length, 2);
  }
});

Deno.test("open() refuses malformed answers to INITIALIZE UPDATE", async () => {
  for (const length of [0, 5, 28, 31, 33]) {
    const card = new EchoCard(keySet(3));
    card.tamper = () => response(0x9000, new Uint8Array(length));
    await assert.rejects(
      open(card),
      (error: unknown) => ["SCP03_MALFORMED", "SCP03_PROTOCOL"].includes((error as { code: string }).code),
    );
    assert.equal(card.sent.length, 1);
  }
});

Deno.test("send() is dead after a changed or missing R-MAC", async () => {
  const faults: [string, (answer: ResponseApdu) => ResponseApdu][] = [
    ["SCP03_RMAC_MISSING", () => response(0x9000)],
    ["SCP03_RMAC_WRONG", ({ data }) => response(0x9000, data.map((byte, i) => i === 0 ? byte ^ 1 : byte))],
  ];
  for (const [expected, fault] of faults) {
    const card = new EchoCard(keySet(3));
    const channel = await open(card);
    card.tamper = fault;
    await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0, Uint8Array.of(1))), code(expected));
    assert.equal(channel.alive, false);
    const count = card.sent.length;
    await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0)), code("SCP03_DEAD"));
    assert.equal(card.sent.length, count, "nothing is sent through a dead channel");
  }
});

Deno.test("send() gives 6988 as it is and ends the channel", async () => {
  const card = new EchoCard(keySet(3));
  const channel = await open(card);
  card.tamper = () => response(0x6988);
  assert.deepEqual(await channel.send(command(0x80, 0xe2, 0, 0)), response(0x6988));
  assert.equal(channel.alive, false);
});

Deno.test("send() is dead after a lost answer", async () => {
  const card = new EchoCard(keySet(3));
  const channel = await open(card);
  card.tamper = () => {
    throw new Error("card removed");
  };
  await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0)), /card removed/);
  assert.equal(channel.alive, false);
});

Deno.test("send() refuses a second command while one is in flight", async () => {
  const card = new EchoCard(keySet(3));
  const channel = await open(card);
  const first = channel.send(command(0x80, 0xe2, 0, 0, Uint8Array.of(1)));
  await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0)), code("SCP03_BUSY"));
  assert.equal((await first).sw, 0x9000);
  assert.equal((await channel.send(command(0x80, 0xe2, 0, 0))).sw, 0x9000);
});

Deno.test("send() refuses what does not fit and stays usable", async () => {
  const channel = await open(new EchoCard(keySet(3)));
  await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0, new Uint8Array(240))), code("SCP03_TOO_LONG"));
  assert.equal((await channel.send(command(0x80, 0xe2, 0, 0))).sw, 0x9000);
});

Deno.test("close() ends the channel", async () => {
  const channel = await open(new EchoCard(keySet(3)));
  channel.close();
  await assert.rejects(channel.send(command(0x80, 0xe2, 0, 0)), code("SCP03_DEAD"));
});
