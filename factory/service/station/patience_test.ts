import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import type { AttestationPort } from "./attestation_client.ts";
import { isOutage, patient } from "./patience.ts";
import type { StationEvent } from "./events.ts";

const gone = new CodedError("ATTESTATION_UNREACHABLE", "Cannot reach the attestation service");
const busy = new CodedError("HSM_UNAVAILABLE", "later", { status: 503, fromService: true });
const refused = new CodedError("ATTEST_CHIP_CLOSED", "closed", { status: 409, fromService: true });

/** A port whose `attest` fails as told, then answers. */
function portWith(failures: CodedError[]): { port: AttestationPort; calls: () => number } {
  let calls = 0;
  const attest = () => {
    const failure = failures[calls++];
    return failure ? Promise.reject(failure) : Promise.resolve("answer");
  };
  return { port: { attest } as unknown as AttestationPort, calls: () => calls };
}

const REQUEST = {} as Parameters<AttestationPort["attest"]>[0];

Deno.test("patient() repeats through an outage and tells it; a refusal and an exhausted patience are told at once", async () => {
  const events: StationEvent[] = [];
  let now = 0;
  const options = {
    reader: "a",
    emit: (event: StationEvent) => {
      events.push(event);
      now += 1_000;
    },
    now: () => now,
    gone: new AbortController().signal,
  };
  const first = portWith([gone, busy]);
  const answer: unknown = await patient({ ...options, port: first.port, milliseconds: 60_000 }).attest(
    REQUEST,
  );
  assert.equal(answer, "answer");
  assert.deepEqual(
    events.map((event) => event.event === "waiting" && [event.reader, event.code]),
    [["a", "ATTESTATION_UNREACHABLE"], ["a", "HSM_UNAVAILABLE"]],
  );
  const second = portWith([refused]);
  await assert.rejects(
    patient({ ...options, port: second.port, milliseconds: 60_000 }).attest(REQUEST),
    refused,
  );
  assert.equal(second.calls(), 1);
  const third = portWith([gone]);
  await assert.rejects(patient({ ...options, port: third.port, milliseconds: 0 }).attest(REQUEST), gone);
});

Deno.test("patient() stops waiting when the card is taken off", async () => {
  const away = new AbortController();
  const { port, calls } = portWith([gone, gone, gone]);
  const options = { reader: "a", emit: () => away.abort(), now: () => 0, gone: away.signal };
  await assert.rejects(patient({ ...options, port, milliseconds: 3_600_000 }).attest(REQUEST), gone);
  assert.equal(calls(), 1);
});

Deno.test("isOutage() knows what passes by itself", () => {
  assert.deepEqual([gone, busy, refused, new Error("x")].map(isOutage), [true, true, false, false]);
});
