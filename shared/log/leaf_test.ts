import assert from "node:assert/strict";
import { fromUtf8, toUtf8 } from "../base/bytes.ts";
import { EVENT_NAMES, eventRow } from "./events.ts";
import { encodeLeaf, type Leaf, LEAF_LENGTH_MAX, leafTime, parseLeaf } from "./leaf.ts";

const ACTOR = "sender:AAECAwQFBgcICQoLDA0ODw";
const CARD = "card:AAECAwQFBgcICQoLDA0ODw";
const LEAF: Leaf = {
  time: "2026-11-21T14:29:09.123Z",
  event: "attestation.card-attested",
  actor: ACTOR,
  subject: CARD,
  ticket: "OPS-1234",
  outcome: "refused",
  reason: "LEAF_SCHEMA",
  software: "0.4.0+0123abc",
  attachment: new Uint8Array(32).fill(1).toBase64(),
};

Deno.test("encodeLeaf() writes canonical JSON that parseLeaf() reads", () => {
  const bytes = encodeLeaf(LEAF);
  assert.equal(
    fromUtf8(bytes),
    '{"actor":"sender:AAECAwQFBgcICQoLDA0ODw","attachment":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",' +
      '"event":"attestation.card-attested","outcome":"refused","reason":"LEAF_SCHEMA","software":"0.4.0+0123abc",' +
      '"subject":"card:AAECAwQFBgcICQoLDA0ODw","ticket":"OPS-1234","time":"2026-11-21T14:29:09.123Z"}',
  );
  assert.deepEqual(parseLeaf(bytes), LEAF);
  const { subject: _s, ticket: _t, reason: _r, attachment: _a, ...least } = LEAF;
  assert.deepEqual(parseLeaf(encodeLeaf({ ...least, ticket: undefined } as Leaf)), least);
  assert.equal(leafTime(0), "1970-01-01T00:00:00.000Z");
});

/** What people and cards are called outside: none of it has a place in a leaf. */
const PERSONAL = [
  "Ada Lovelace",
  "ada@example.com",
  "operator:ada.lovelace",
  "card:00C0FFEE",
  "192.0.2.7",
  "address:192.0.2.7",
  "9b2d2f3c-8a55-4c11-9d0e-2f6f0e1f7a10",
  "CN=station-1,O=Example",
  "abandon abandon about",
];

Deno.test("no personal data and no backup identifier can enter a leaf: every member refuses them", () => {
  for (const member of Object.keys(LEAF)) {
    for (const value of PERSONAL) {
      assert.throws(
        () => encodeLeaf({ ...LEAF, [member]: value }),
        (error: { code: string; message: string }) =>
          /^LEAF_(SCHEMA|EVENT)$/.test(error.code) && !error.message.includes(value),
        `${member}: ${value}`,
      );
    }
  }
  for (const value of PERSONAL) {
    assert.throws(() => encodeLeaf({ ...LEAF, note: value } as Leaf), { code: "LEAF_SCHEMA" });
  }
});

Deno.test("a reason that only looks like an error code is not written", () => {
  assert.throws(() => encodeLeaf({ ...LEAF, reason: "ADA_LOVELACE" }), { code: "LEAF_EVENT" });
  assert.throws(() => encodeLeaf({ ...LEAF, reason: "error-code" }), { code: "LEAF_EVENT" });
  assert.throws(() => encodeLeaf({ ...LEAF, reason: "rate-limited" }), { code: "LEAF_EVENT" });
  const refused: Leaf = {
    time: LEAF.time,
    event: "gateway.request-refused",
    actor: "client:AAECAwQFBgcICQoLDA0ODw",
    outcome: "refused",
    reason: "rate-limited",
    software: "0.4.0",
  };
  assert.deepEqual(parseLeaf(encodeLeaf(refused)), refused);
  assert.throws(() => encodeLeaf({ ...refused, reason: "LEAF_SCHEMA" }), { code: "LEAF_EVENT" });
});

Deno.test("parseLeaf() refuses every other bytes of the same value", () => {
  const text = fromUtf8(encodeLeaf(LEAF));
  const other: [string, string][] = [
    [` ${text}`, "LEAF_NOT_CANONICAL"],
    [`${text}\n`, "LEAF_NOT_CANONICAL"],
    [`\ufeff${text}`, "LEAF_NOT_CANONICAL"],
    [text.replace(":", ": "), "LEAF_NOT_CANONICAL"],
    [text.replace('{"actor"', '{"actor":"x","actor"'), "LEAF_NOT_CANONICAL"],
    [text.replace("refused", "\\u0072efused"), "LEAF_NOT_CANONICAL"],
    [JSON.stringify({ time: LEAF.time, ...JSON.parse(text) }), "LEAF_NOT_CANONICAL"],
    ["", "LEAF_NOT_CANONICAL"],
    ["null", "LEAF_SCHEMA"],
    ["[]", "LEAF_SCHEMA"],
    [text.replace('"ticket":"OPS-1234"', '"ticket":null'), "LEAF_SCHEMA"],
    [text.replace("OPS-1234", "ops-1234"), "LEAF_SCHEMA"],
    [text.replace("card-attested", "card-invented"), "LEAF_SCHEMA"],
    [text.replace("14:29:09.123Z", "14:29:09Z"), "LEAF_SCHEMA"],
    [text.replace("11-21T", "02-31T"), "LEAF_SCHEMA"],
    [text.replace("card:AAEC", "client:AAEC"), "LEAF_EVENT"],
    [text.replace("sender:AAEC", "operator:AAEC"), "LEAF_EVENT"],
    [text.replace("0ODw", "0ODx"), "LEAF_SCHEMA"],
    [" ".repeat(LEAF_LENGTH_MAX + 1), "LEAF_TOO_LARGE"],
  ];
  for (const [bytes, code] of other) assert.throws(() => parseLeaf(toUtf8(bytes)), { code }, bytes);
  assert.throws(() => parseLeaf(Uint8Array.of(0xff)), { code: "LEAF_NOT_CANONICAL" });
});

Deno.test("every event of the table can be written with each of its outcomes and reasons", () => {
  for (const event of EVENT_NAMES) {
    const row = eventRow(event);
    for (const outcome of row.outcomes) {
      for (const reason of [undefined, ...row.reasons.filter((name) => name !== "error-code")]) {
        const subject = row.subject[0];
        const leaf: Leaf = {
          time: LEAF.time,
          event,
          actor: `${row.actor[0]}:AAECAwQFBgcICQoLDA0ODw`,
          outcome,
          software: "0.4.0",
          ...(subject === undefined ? {} : { subject: `${subject}:AAECAwQFBgcICQoLDA0ODw` }),
          ...(reason === undefined ? {} : { reason }),
        };
        assert.deepEqual(parseLeaf(encodeLeaf(leaf)), leaf);
      }
    }
  }
});
