import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { cardKeyMessage } from "shared/protocol/recovery_key/signed_messages.ts";
import type { AttestationRequest } from "shared/protocol/wire/attestation.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { type AttestDecision, type AttestRecord, mayAttest } from "./attestation.ts";
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

function recordIn(state: ReservationState): AttestRecord {
  return {
    reservation: reservationIn(state, { personalizationKey: toHex(publicKeyOf(personalizationKey)) }),
    batch: BATCH,
    live: state === "attested" || state === "good" ? CERTIFICATE : undefined,
    ofKey: undefined,
    chipElsewhere: false,
  };
}

function outcome(decision: AttestDecision): string {
  if (decision.kind === "refuse") return decision.reason;
  return decision.kind === "accept" && decision.supersedes ? "accept superseding" : decision.kind;
}

const decide = (record: AttestRecord, request = REQUEST, station = STATION.name) =>
  outcome(mayAttest(record, station, request));

Deno.test("mayAttest() every state x a new key, the known key, a superseded key, another card's key", () => {
  const ofKeys = [
    undefined,
    { ...CERTIFICATE, publicKey: REQUEST.publicKey },
    { ...CERTIFICATE, publicKey: REQUEST.publicKey, revoked: true },
    { ...CERTIFICATE, publicKey: REQUEST.publicKey, reservation: "another" },
  ];
  const walked = Object.fromEntries(RESERVATION_STATES.map((state) => [
    state,
    ofKeys.map((ofKey) => decide({ ...recordIn(state), ofKey })),
  ]));
  const closed = Array(4).fill("ATTEST_CLOSED");
  assert.deepEqual(walked, {
    reserved: ["accept", "repeat", "ATTEST_KEY_SUPERSEDED", "ATTEST_KEY_REUSED"],
    attested: ["accept superseding", "repeat", "ATTEST_KEY_SUPERSEDED", "ATTEST_KEY_REUSED"],
    good: closed,
    scrapped: closed,
  });
});

Deno.test("mayAttest() gives exactly the checked fields to the signer", () => {
  const decision = mayAttest(recordIn("reserved"), STATION.name, REQUEST);
  assert.ok(decision.kind === "accept");
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
