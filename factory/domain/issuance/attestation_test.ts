import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { AttestationRequest } from "shared/protocol/wire/attestation.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import {
  type AttestDecision,
  type AttestRecord,
  type CertifyDecision,
  mayAttest,
  mayCertify,
} from "./attestation.ts";
import { RESERVATION_STATES } from "./card_flow.ts";
import { BATCH, CERTIFICATE, reservationIn, STATION } from "./fixture.ts";
import type { ReservationState } from "../../transport/issuance_store/records.ts";

const personalizationKey = generatePrivateKey(SYSTEM_RANDOM);
const cardKey = publicKeyOf(generatePrivateKey(SYSTEM_RANDOM));

function signedBy(key: typeof personalizationKey, targetId: string, publicKey: Uint8Array): string {
  return toHex(ecdsaSign(key, cardKeyMessage(fromHex(targetId), publicKey)));
}

const REQUEST: AttestationRequest = {
  reservation: reservationIn("reserved").id,
  serial: "00000069",
  publicKey: toHex(cardKey),
  signature: signedBy(personalizationKey, BATCH.targetId, cardKey),
};

/** States whose record has a certificate that counts. */
const CERTIFIED: readonly ReservationState[] = ["attested", "installed", "good"];

function recordIn(state: ReservationState): AttestRecord {
  return {
    reservation: reservationIn(state, { personalizationKey: toHex(publicKeyOf(personalizationKey)) }),
    batch: BATCH,
    last: CERTIFIED.includes(state) ? CERTIFICATE : undefined,
    ofKey: undefined,
    chipElsewhere: false,
  };
}

function outcome(decision: AttestDecision | CertifyDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  return "supersedes" in decision && decision.supersedes ? `${decision.kind} superseding` : decision.kind;
}

const decide = (record: AttestRecord, request = REQUEST, station = STATION.name) =>
  outcome(mayAttest(record, station, request));

const OF_KEYS = [
  undefined,
  { ...CERTIFICATE, publicKey: REQUEST.publicKey },
  { ...CERTIFICATE, publicKey: REQUEST.publicKey, revoked: true },
  { ...CERTIFICATE, publicKey: REQUEST.publicKey, reservation: "another" },
];

Deno.test("mayAttest() every state x a new key, the known key, a superseded key, another card's key", () => {
  const walked = Object.fromEntries(RESERVATION_STATES.map((state) => [
    state,
    OF_KEYS.map((ofKey) => decide({ ...recordIn(state), ofKey }, { ...REQUEST, lifeCycle: 0 })),
  ]));
  const known = ["repeat", "ATTEST_KEY_SUPERSEDED", "ATTEST_KEY_REUSED"];
  assert.deepEqual(walked, {
    reserved: ["see", ...known],
    "key-seen": ["see", ...known],
    attested: ["see superseding", ...known],
    installed: ["ATTEST_INSTALLED", ...known],
    good: Array(4).fill("ATTEST_CLOSED"),
    scrapped: Array(4).fill("ATTEST_CLOSED"),
    missing: Array(4).fill("ATTEST_MISSING"),
  });
});

Deno.test("mayAttest() every state x life cycle x an earlier certificate: only life cycle 0 gets another one", () => {
  const lifeCycles = [undefined, 0, 1, 2, 3];
  const earlier = [undefined, CERTIFICATE, { ...CERTIFICATE, revoked: true }];
  for (const state of ["reserved", "key-seen", "attested"] as const) {
    for (const last of earlier) {
      const walked = lifeCycles.map((lifeCycle) =>
        decide({ ...recordIn(state), last }, {
          ...REQUEST,
          ...(lifeCycle === undefined ? {} : { lifeCycle }),
        })
      );
      const refused = "ATTEST_LIFE_CYCLE";
      assert.deepEqual(
        walked,
        last === undefined ? Array(5).fill("see") : [refused, "see superseding", refused, refused, refused],
        state,
      );
    }
  }
});

Deno.test("mayAttest() goes on where the token was not reached: the key that is on record is signed", () => {
  const seen = {
    personalizationKey: toHex(publicKeyOf(personalizationKey)),
    seenPublicKey: REQUEST.publicKey,
  };
  const record = { ...recordIn("key-seen"), reservation: reservationIn("key-seen", seen) };
  assert.equal(decide(record), "sign");
  assert.equal(
    decide({ ...record, last: { ...CERTIFICATE, revoked: true } }, { ...REQUEST, lifeCycle: 0 }),
    "sign superseding",
  );
  // After another reservation the same key counts no more by being on record: it is checked anew.
  assert.equal(decide({ ...record, reservation: reservationIn("reserved", seen) }), "see");
});

Deno.test("mayCertify() every state x key on record x certificate of the key", () => {
  const walked = Object.fromEntries(RESERVATION_STATES.map((state) => [
    state,
    [REQUEST.publicKey, "04" + "77".repeat(64), null].flatMap((seenPublicKey) =>
      OF_KEYS.map((ofKey) => {
        const reservation = reservationIn(state, { seenPublicKey });
        return outcome(
          mayCertify({ ...recordIn(state), reservation, ofKey }, STATION.name, REQUEST.publicKey),
        );
      })
    ),
  ]));
  const known = ["repeat", "ATTEST_KEY_SUPERSEDED", "ATTEST_KEY_REUSED"];
  const overtaken = ["ATTEST_KEY_SUPERSEDED", ...known];
  const never = [...overtaken, ...overtaken, ...overtaken];
  assert.deepEqual(walked, {
    reserved: never,
    "key-seen": ["accept", ...known, ...overtaken, ...overtaken],
    attested: never,
    installed: never,
    good: Array(12).fill("ATTEST_CLOSED"),
    scrapped: Array(12).fill("ATTEST_CLOSED"),
    missing: Array(12).fill("ATTEST_MISSING"),
  });
});

Deno.test("mayCertify() wants the station, the record and the chip to be what they were", () => {
  const record = {
    ...recordIn("key-seen"),
    reservation: reservationIn("key-seen", { seenPublicKey: REQUEST.publicKey }),
  };
  const certify = (change: Partial<AttestRecord>, station = STATION.name) =>
    outcome(mayCertify({ ...record, ...change }, station, REQUEST.publicKey));
  assert.equal(certify({}), "accept");
  assert.equal(certify({ last: { ...CERTIFICATE, revoked: true } }), "accept superseding");
  assert.equal(certify({ reservation: undefined }), "ATTEST_RESERVATION_UNKNOWN");
  assert.equal(certify({}, "line-2"), "ATTEST_STATION_MISMATCH");
  assert.equal(certify({ chipElsewhere: true }), "ATTEST_CHIP_ELSEWHERE");
});

Deno.test("mayAttest() gives exactly the checked fields to the signer", () => {
  const decision = mayAttest(recordIn("reserved"), STATION.name, REQUEST);
  assert.ok(decision.kind === "see");
  assert.deepEqual([decision.from, decision.to], ["reserved", "key-seen"]);
  assert.deepEqual(toHex(decision.serial), "00000069");
  assert.deepEqual(decision.publicKey, cardKey);
  assert.equal(decision.targetDevice, 5);
});

Deno.test("mayAttest() refuses every fact that does not fit", () => {
  const record = recordIn("reserved");
  assert.equal(decide({ ...record, reservation: undefined }), "ATTEST_RESERVATION_UNKNOWN");
  assert.equal(decide(record, REQUEST, "line-2"), "ATTEST_STATION_MISMATCH");
  assert.equal(decide({ ...record, batch: undefined }), "ATTEST_BATCH_UNKNOWN");
  assert.equal(decide({ ...record, batch: { ...BATCH, closed: true } }), "ATTEST_BATCH_CLOSED");
  assert.equal(decide(record, { ...REQUEST, serial: "0000006A" }), "ATTEST_SERIAL_MISMATCH");
  assert.equal(decide({ ...record, chipElsewhere: true }), "ATTEST_CHIP_ELSEWHERE");
  const offCurve = { ...REQUEST, publicKey: "04" + "11".repeat(64) };
  assert.equal(decide(record, offCurve), "ATTEST_PUBLIC_KEY");
  const compressed = { ...REQUEST, publicKey: "02" + REQUEST.publicKey.slice(2) };
  assert.equal(decide(record, compressed), "ATTEST_PUBLIC_KEY");
});

Deno.test("mayAttest() refuses a signature by another key, over another target, over another key, or changed", () => {
  const record = recordIn("reserved");
  const other = generatePrivateKey(SYSTEM_RANDOM);
  const signatures = [
    signedBy(other, BATCH.targetId, cardKey),
    signedBy(personalizationKey, "33400005", cardKey),
    signedBy(personalizationKey, BATCH.targetId, publicKeyOf(other)),
    REQUEST.signature.slice(0, -2) + (REQUEST.signature.endsWith("00") ? "01" : "00"),
    REQUEST.signature + "00",
    "30" + REQUEST.signature.slice(4),
  ];
  for (const signature of signatures) {
    assert.equal(decide(record, { ...REQUEST, signature }), "ATTEST_CARD_SIGNATURE");
  }
  const redrawn = reservationIn("reserved", { personalizationKey: toHex(publicKeyOf(other)) });
  assert.equal(decide({ ...record, reservation: redrawn }), "ATTEST_CARD_SIGNATURE");
});
