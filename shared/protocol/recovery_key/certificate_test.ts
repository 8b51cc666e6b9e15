import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { encodeSimple } from "shared/protocol/tlv/simple.ts";
import { loadVector } from "tests/vectors/load.ts";
import {
  buildCardCertificateBody,
  finishCardCertificate,
  parseCardCertificate,
  verifyCardCertificate,
} from "./certificate.ts";
import type { Recording } from "./testing/recording.ts";

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const issuer = generatePrivateKey(random);
const issuerPublicKey = publicKeyOf(issuer);
const publicKey = publicKeyOf(generatePrivateKey(random));
const serial = fromHex("01020304");

/** The elements of a good body, to be put together wrongly. */
const ELEMENTS: readonly (readonly [number, string])[] = [
  [0x01, "01"],
  [0x02, "02"],
  [0x14, "01"],
  [0x20, "01020304"],
  [0x31, "01"],
  [0x32, "21"],
  [0x33, toHex(publicKey)],
  [0x35, "07"],
];
const encode = (elements: readonly (readonly [number, string])[]) =>
  concat(...elements.map(([tag, value]) => encodeSimple(tag, fromHex(value))));
/** Signed as it is: only the layout is wrong. */
const sign = (body: Uint8Array) => concat(body, encodeSimple(0x15, ecdsaSign(issuer, body)));
const strict = (bytes: Uint8Array) => parseCardCertificate(bytes, { strict: true });

Deno.test("buildCardCertificateBody() writes every tag of section 5.1 in order", () => {
  const body = buildCardCertificateBody({ serial, publicKey, targetDevice: 7 });
  assert.deepEqual(body, encode(ELEMENTS));
});

Deno.test("a finished certificate parses strictly, verifies and fits one wrapped command", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat({ max: 255 }),
      (serial, targetDevice) => {
        const body = buildCardCertificateBody({ serial, publicKey, targetDevice });
        const bytes = finishCardCertificate(body, ecdsaSign(issuer, body));
        assert.ok(bytes.length <= 239);
        const certificate = strict(bytes);
        assert.deepEqual(certificate.serial, serial);
        assert.deepEqual(certificate.publicKey, publicKey);
        assert.equal(certificate.targetDevice, targetDevice);
        assert.deepEqual(certificate.signedBytes, body);
        assert.deepEqual(certificate.bytes, bytes);
        assert.equal(verifyCardCertificate(certificate, issuerPublicKey), true);
        assert.equal(verifyCardCertificate(certificate, publicKey), false);
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("a certificate with any byte changed is refused or does not verify", () => {
  const good = sign(encode(ELEMENTS));
  let layout = 0;
  for (let i = 0; i < good.length; i++) {
    for (const change of [0x01, 0x80, 0xff]) {
      const changed = good.slice();
      changed[i]! ^= change;
      let certificate;
      try {
        certificate = strict(changed);
      } catch (error) {
        assert.match((error as { code: string }).code, /^CERTIFICATE_/);
        layout++;
        continue;
      }
      assert.equal(verifyCardCertificate(certificate, issuerPublicKey), false, `byte ${i}`);
    }
  }
  assert.ok(layout > 0);
});

Deno.test("strict parsing refuses each missing, doubled, misplaced, unknown and misshaped element by its code", () => {
  ELEMENTS.forEach((element, i) => {
    const name = element[0].toString(16);
    const without = ELEMENTS.filter((_, k) => k !== i);
    assert.throws(() => strict(sign(encode(without))), code("CERTIFICATE_TAG_MISSING"), name);
    assert.throws(
      () => strict(sign(encode([...ELEMENTS, [element[0], element[0] === 0x33 ? "00" : element[1]]]))),
      code("CERTIFICATE_TAG_DUPLICATE"),
      name,
    );
    for (let at = 0; at < ELEMENTS.length; at++) {
      if (at === i) continue;
      const moved = without.toSpliced(at, 0, element);
      assert.throws(() => strict(sign(encode(moved))), code("CERTIFICATE_ORDER"), `${name} at ${at}`);
    }
    const [tag, value] = element;
    for (const wrong of ["", value + "00", value.slice(2)]) {
      assert.throws(
        () => strict(sign(encode(ELEMENTS.with(i, [tag, wrong])))),
        code("CERTIFICATE_VALUE"),
        `${name} ${wrong.length / 2}`,
      );
    }
  });
  for (const tag of [0x00, 0x03, 0x21, 0x36, 0x80, 0xff]) {
    assert.throws(
      () => strict(sign(encode([...ELEMENTS, [tag, "01"]]))),
      code("CERTIFICATE_TAG_UNKNOWN"),
      tag.toString(16),
    );
  }
});

Deno.test("strict parsing refuses other values of the tags that have one", () => {
  const wrong: readonly (readonly [number, string])[] = [
    [0x01, "02"],
    [0x02, "01"],
    [0x14, "02"],
    [0x31, "02"],
    [0x32, "22"],
    [0x33, toHex(publicKey.with(64, publicKey[64]! ^ 1))],
    [0x33, "00".repeat(65)],
    [0x33, toHex(publicKey.slice(0, 33)).replace(/^04/, "02")],
  ];
  for (const element of wrong) {
    const changed = ELEMENTS.map((good) => good[0] === element[0] ? element : good);
    assert.throws(() => strict(sign(encode(changed))), code("CERTIFICATE_VALUE"), element.join(" "));
  }
});

Deno.test("every parsing refuses serials of three bytes strictly, anything after 15, and 15 elsewhere", () => {
  const good = sign(encode(ELEMENTS));
  const signature = strict(good).signature;
  const short = ELEMENTS.map((element) => element[0] === 0x20 ? [0x20, "010203"] as const : element);
  assert.throws(() => strict(sign(encode(short))), code("CERTIFICATE_VALUE"));
  assert.equal(parseCardCertificate(sign(encode(short)), { strict: false }).serial.length, 3);

  const after = concat(good, encodeSimple(0x35, Uint8Array.of(7)));
  assert.throws(() => strict(after), code("CERTIFICATE_TAG_DUPLICATE"));
  assert.throws(() => parseCardCertificate(after, { strict: false }), code("CERTIFICATE_ORDER"));
  for (const tail of ["00", "15", "2004"]) {
    for (const mode of [true, false]) {
      assert.throws(
        () => parseCardCertificate(concat(good, fromHex(tail)), { strict: mode }),
        code("CERTIFICATE_MALFORMED"),
        tail,
      );
    }
  }
  const first = concat(encodeSimple(0x15, signature), encode(ELEMENTS));
  assert.throws(() => strict(first), code("CERTIFICATE_ORDER"));
  assert.throws(() => parseCardCertificate(first, { strict: false }), code("CERTIFICATE_ORDER"));
  const twice = concat(good, encodeSimple(0x15, signature));
  assert.throws(() => strict(twice), code("CERTIFICATE_TAG_DUPLICATE"));
  assert.throws(() => parseCardCertificate(twice, { strict: false }), code("CERTIFICATE_ORDER"));
});

Deno.test("parsing refuses truncations and more than 239 bytes", () => {
  const good = sign(encode(ELEMENTS));
  for (let length = 0; length < good.length; length++) {
    for (const mode of [true, false]) {
      assert.throws(() => parseCardCertificate(good.slice(0, length), { strict: mode }), /Cannot/);
    }
  }
  const long = sign(encode([...ELEMENTS, [0x36, "00".repeat(100)]]));
  assert.throws(() => parseCardCertificate(long, { strict: false }), code("CERTIFICATE_MALFORMED"));
});

Deno.test("the recorded certificate parses by the card's rules, verifies, and is refused by the wallet's", () => {
  const { secrets } = loadVector<Recording>("card/a_personalization.json");
  const bytes = fromHex(secrets.card_certificate);
  const certificate = parseCardCertificate(bytes, { strict: false });
  assert.equal(verifyCardCertificate(certificate, fromHex(secrets.issuer_public)), true);
  assert.throws(() => strict(bytes), code("CERTIFICATE_TAG_MISSING"));
});

Deno.test("loose parsing needs 20 and 15 only", () => {
  const minimal = sign(encodeSimple(0x20, serial));
  const certificate = parseCardCertificate(minimal, { strict: false });
  assert.deepEqual([certificate.publicKey, certificate.targetDevice], [undefined, undefined]);
  assert.throws(
    () => parseCardCertificate(sign(encodeSimple(0x33, publicKey)), { strict: false }),
    code("CERTIFICATE_TAG_MISSING"),
  );
  assert.throws(
    () => parseCardCertificate(encodeSimple(0x20, serial), { strict: false }),
    code("CERTIFICATE_TAG_MISSING"),
  );
});

Deno.test("buildCardCertificateBody() and finishCardCertificate() refuse fields that are not as they must be", () => {
  const fields = { serial, publicKey, targetDevice: 7 };
  const wrong = [
    { ...fields, serial: new Uint8Array(3) },
    { ...fields, serial: new Uint8Array(5) },
    { ...fields, publicKey: publicKey.with(64, publicKey[64]! ^ 1) },
    { ...fields, publicKey: new Uint8Array(65) },
    { ...fields, targetDevice: 256 },
    { ...fields, targetDevice: -1 },
    { ...fields, targetDevice: 1.5 },
  ];
  for (const value of wrong) assert.throws(() => buildCardCertificateBody(value), code("RK_FIELD"));
  const body = buildCardCertificateBody(fields);
  for (const length of [0, 7, 73]) {
    assert.throws(() => finishCardCertificate(body, new Uint8Array(length)), code("RK_FIELD"));
  }
  assert.throws(
    () => finishCardCertificate(new Uint8Array(200), new Uint8Array(70)),
    code("CERTIFICATE_TOO_LONG"),
  );
});
