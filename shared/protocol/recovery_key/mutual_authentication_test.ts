import assert from "node:assert/strict";
import { Secret } from "shared/base/secret.ts";
import { ecdhPoint, ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { type CapsuleKeys, deriveCapsuleKeys, openCapsule, sealCapsule } from "./capsule.ts";
import { buildCardCertificateBody, finishCardCertificate } from "./certificate.ts";
import { CARD_SERIAL_LENGTH } from "./constants.ts";
import {
  encodeCardEphemeral,
  parseHostCertificate,
  parseHostEphemeral,
  verifyHostCertificate,
  verifyHostEphemeral,
} from "./host_certificate.ts";
import { mutualAuthenticate, type MutualAuthenticationOptions } from "./mutual_authentication.ts";
import { cardEphemeralMessage, hostStaticMessage } from "./signed_messages.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const issuer = generatePrivateKey(random);
const issuerPublicKey = publicKeyOf(issuer);

/** A card that does what card.md says, with hooks for what another would do. */
class Card {
  readonly serial = random(CARD_SERIAL_LENGTH);
  readonly key = generatePrivateKey(random);
  readonly ephemeral = generatePrivateKey(random);
  readonly challenge = random(8);
  readonly seen: CommandApdu[] = [];
  certificate: Uint8Array;
  capsuleKeys: CapsuleKeys | undefined;
  /** Changes an answer; the argument is the command's number. */
  change: (answer: ResponseApdu, number: number) => ResponseApdu = (answer) => answer;
  #hostChallenge = new Uint8Array(0);
  #host: ReturnType<typeof parseHostCertificate> | undefined;

  constructor(signer: Secret = issuer, key?: Uint8Array) {
    const body = buildCardCertificateBody({
      serial: this.serial,
      publicKey: key ?? publicKeyOf(this.key),
      targetDevice: 1,
    });
    this.certificate = finishCardCertificate(body, ecdsaSign(signer, body));
  }

  send = (c: CommandApdu): Promise<ResponseApdu> => {
    this.seen.push(c);
    return Promise.resolve(this.change(this.#answer(c), this.seen.length));
  };

  #answer(c: CommandApdu): ResponseApdu {
    if (c.ins === 0x52 && c.p1 === 0x00) {
      this.#hostChallenge = c.data.slice();
      return response(0x9000, this.certificate);
    }
    if (c.ins === 0x52) {
      const ephemeral = publicKeyOf(this.ephemeral);
      const signature = ecdsaSign(
        this.key,
        cardEphemeralMessage(this.challenge, this.#hostChallenge, ephemeral),
      );
      return response(0x9000, encodeCardEphemeral({ cardChallenge: this.challenge, ephemeral, signature }));
    }
    if (c.p1 === 0x00) {
      this.#host = parseHostCertificate(c.data);
      return response(verifyHostCertificate(this.#host, issuerPublicKey) ? 0x9000 : 0x6982);
    }
    const certificate = parseHostEphemeral(c.data);
    if (!verifyHostEphemeral(certificate, this.#host!.publicKey, this.#hostChallenge, this.challenge)) {
      return response(0x6982);
    }
    this.capsuleKeys = deriveCapsuleKeys({
      sharedPoint: ecdhPoint(this.ephemeral, certificate.ephemeral),
      hostChallenge: this.#hostChallenge,
      cardChallenge: this.challenge,
      hostSerial: this.#host!.serial,
      cardSerial: this.serial,
    });
    return response(0x9000);
  }
}

function host(signer: Secret = issuer) {
  const privateKey = generatePrivateKey(random);
  const publicKey = publicKeyOf(privateKey);
  const serial = random(7);
  return {
    serial,
    privateKey,
    publicKey,
    signature: ecdsaSign(signer, hostStaticMessage(serial, publicKey)),
  };
}

function authenticate(card: Card, options: Partial<MutualAuthenticationOptions> = {}) {
  return mutualAuthenticate({
    send: card.send,
    issuerPublicKey,
    host: host(),
    random,
    strict: true,
    ...options,
  });
}

Deno.test("mutualAuthenticate() gives both sides the same keys", async () => {
  const card = new Card();
  const result = await authenticate(card, { expectedSerial: card.serial });
  assert.deepEqual(result.cardSerial, card.serial);
  assert.deepEqual(result.cardChallenge, card.challenge);
  assert.equal(result.cardCertificate.targetDevice, 1);
  const plain = Uint8Array.of(1, 2, 3);
  assert.deepEqual(openCapsule(card.capsuleKeys!, sealCapsule(result.capsuleKeys, plain, random(16))), plain);
  assert.deepEqual(openCapsule(result.capsuleKeys, sealCapsule(card.capsuleKeys!, plain, random(16))), plain);
});

Deno.test("mutualAuthenticate() does not tell who the host is to a card that proves nothing", async () => {
  const flip = (number: number, at: number) => (answer: ResponseApdu, n: number) =>
    n === number ? response(answer.sw, answer.data.with(at, answer.data.at(at)! ^ 1)) : answer;
  const cases: [string, Card, Partial<MutualAuthenticationOptions>, Card["change"]?][] = [
    ["MUTUAL_CARD_CERTIFICATE", new Card(generatePrivateKey(random)), {}],
    ["MUTUAL_CARD_CERTIFICATE", new Card(), { issuerPublicKey: publicKeyOf(generatePrivateKey(random)) }],
    ["MUTUAL_CARD_CERTIFICATE", new Card(), {}, flip(1, 0)],
    ["MUTUAL_CARD_CERTIFICATE", new Card(), {}, flip(1, -1)],
    ["MUTUAL_CARD_SERIAL", new Card(), { expectedSerial: random(4) }],
    // A good certificate of another card's key: what the factory must catch.
    ["MUTUAL_CARD_SIGNATURE", new Card(issuer, publicKeyOf(generatePrivateKey(random))), {}],
    ["MUTUAL_CARD_SIGNATURE", new Card(), {}, flip(2, -1)],
    ["MUTUAL_CARD_SIGNATURE", new Card(), {}, flip(2, 1)],
    ["MUTUAL_CARD_SIGNATURE", new Card(), {}, flip(2, 50)],
    ["MUTUAL_MALFORMED", new Card(), {}, flip(2, 0)],
    ["MUTUAL_MALFORMED", new Card(), {}, (answer, n) => n === 2 ? response(0x9000) : answer],
    ["MUTUAL_CARD_CERTIFICATE", new Card(), {}, (answer, n) => n === 1 ? response(0x9000) : answer],
    ["MUTUAL_CARD_REFUSED", new Card(), {}, (answer, n) => n === 1 ? response(0x6985) : answer],
    ["MUTUAL_CARD_REFUSED", new Card(), {}, (answer, n) => n === 2 ? response(0x6985) : answer],
  ];
  for (const [expected, card, options, change] of cases) {
    if (change !== undefined) card.change = change;
    await assert.rejects(authenticate(card, options), code(expected), expected);
    assert.ok(card.seen.every(({ ins }) => ins === 0x52), expected);
  }
});

Deno.test("mutualAuthenticate() refuses an ephemeral key off the curve even when it is signed", async () => {
  const card = new Card();
  const ephemeral = publicKeyOf(card.ephemeral);
  const offCurve = ephemeral.with(64, ephemeral[64]! ^ 1);
  card.change = (answer, number) => {
    if (number !== 2) return answer;
    const message = cardEphemeralMessage(card.challenge, card.seen[0]!.data, offCurve);
    return response(
      0x9000,
      encodeCardEphemeral({
        cardChallenge: card.challenge,
        ephemeral: offCurve,
        signature: ecdsaSign(card.key, message),
      }),
    );
  };
  await assert.rejects(authenticate(card), code("MUTUAL_MALFORMED"));
});

Deno.test("mutualAuthenticate() reports a card that refuses the host, at either certificate", async () => {
  const foreign = new Card();
  await assert.rejects(
    authenticate(foreign, { host: host(generatePrivateKey(random)) }),
    code("MUTUAL_HOST_REFUSED"),
  );
  assert.equal(foreign.seen.length, 3);
  const wrongKey = new Card();
  await assert.rejects(
    authenticate(wrongKey, { host: { ...host(), privateKey: generatePrivateKey(random) } }),
    code("MUTUAL_HOST_REFUSED"),
  );
  assert.equal(wrongKey.seen.length, 4);
});

Deno.test("mutualAuthenticate() accepts a certificate without the profile's tags only when not strict", async () => {
  const loose = () => {
    const card = new Card();
    const body = Uint8Array.of(0x20, 4, ...card.serial, 0x33, 65, ...publicKeyOf(card.key));
    card.certificate = finishCardCertificate(body, ecdsaSign(issuer, body));
    return card;
  };
  await assert.rejects(authenticate(loose()), code("MUTUAL_CARD_CERTIFICATE"));
  assert.ok(await authenticate(loose(), { strict: false }));
  // Not even then without a key, or with a serial that is not the card's length.
  for (
    const body of [Uint8Array.of(0x20, 4, 1, 2, 3, 4), Uint8Array.of(0x20, 0, 0x33, 65, ...issuerPublicKey)]
  ) {
    const card = new Card();
    card.certificate = finishCardCertificate(body, ecdsaSign(issuer, body));
    await assert.rejects(authenticate(card, { strict: false }), code("MUTUAL_CARD_CERTIFICATE"));
  }
});

Deno.test("mutualAuthenticate() wipes the ephemeral key, on success and on failure", async () => {
  for (const refuse of [false, true]) {
    const card = new Card();
    if (refuse) card.change = (answer, n) => n === 4 ? response(0x6982) : answer;
    const drawn: Uint8Array[] = [];
    const keep = (length: number) => {
      const bytes = random(length);
      drawn.push(bytes);
      return bytes;
    };
    const outcome = authenticate(card, { random: keep });
    await (refuse ? assert.rejects(outcome) : outcome);
    assert.deepEqual(drawn.at(-1), new Uint8Array(32));
  }
});
