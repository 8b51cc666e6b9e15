import assert from "node:assert/strict";
import { fromUtf8 } from "../base/bytes.ts";
import { Secret } from "../base/secret.ts";
import { parseLeaf } from "./leaf.ts";
import { hmacPseudonyms, Pseudonyms } from "./pseudonym.ts";
import { EventRecorder } from "./recorder.ts";

function recorderOf() {
  const written: Uint8Array[] = [];
  const recorder = new EventRecorder({
    pseudonyms: new Pseudonyms("log.example/a", hmacPseudonyms(new Secret(new Uint8Array(32).fill(1)))),
    software: "0.4.0",
    clock: { now: () => Date.UTC(2026, 10, 21), monotonic: () => 0 },
    append: (entry) => Promise.resolve(written.push(entry)),
  });
  return { recorder, written };
}

Deno.test("EventRecorder writes no identifier, only its pseudonym", async () => {
  const { recorder, written } = recorderOf();
  const receipt = await recorder.record("attestation.card-closed", {
    actor: { kind: "sender", identifier: "line-of-ada-lovelace" },
    subject: { kind: "card", identifier: "00C0FFEE" },
    ticket: "OPS-7",
  });
  assert.equal(receipt, 1);
  const text = fromUtf8(written[0]!);
  assert.ok(!/ada|lovelace|C0FFEE/i.test(text), text);
  const leaf = parseLeaf(written[0]!);
  assert.deepEqual([leaf.outcome, leaf.ticket, leaf.time], ["done", "OPS-7", "2026-11-21T00:00:00.000Z"]);
});

Deno.test("EventRecorder appends nothing that the table of events does not allow", async () => {
  const { recorder, written } = recorderOf();
  const actor = { kind: "operator", identifier: "x" } as const;
  await assert.rejects(recorder.record("gateway.serving", { actor }), { code: "LEAF_EVENT" });
  const process = { kind: "process", identifier: "gateway-a" } as const;
  await assert.rejects(recorder.record("gateway.serving", { actor: process, ticket: "Ada Lovelace" }), {
    code: "LEAF_SCHEMA",
  });
  await assert.rejects(recorder.record("gateway.serving", { actor: { ...process, identifier: "" } }), {
    code: "PSEUDONYM_IDENTIFIER",
  });
  assert.equal(written.length, 0);
});
