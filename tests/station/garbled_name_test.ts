import assert from "node:assert/strict";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import { personalizeCard } from "factory/service/station/engine.ts";
import { forgetUnproven } from "factory/service/station/unproven.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { AttestationDouble } from "./attestation_double.ts";
import { type Line, makeLine, profileOf, TEST_CARD, VirtualCard } from "./bench_line.ts";

/** INITIALIZE UPDATE. GPC 2.3 Amendment D, 7.1.1. */
const INITIALIZE_UPDATE = 0x50;

/** A channel on which the n-th INITIALIZE UPDATE (from 0) names another chip. */
function garbling(card: VirtualCard, n: number): CardChannel {
  const channel = openInProcessChannel(card);
  let seen = 0;
  return {
    atr: channel.atr,
    reset: () => channel.reset(),
    close: () => channel.close(),
    async transmit(apdu) {
      const answer = await channel.transmit(apdu);
      if (apdu[1] !== INITIALIZE_UPDATE || answer.length < 12 || seen++ !== n) return answer;
      const garbled = Uint8Array.from(answer);
      garbled[3]! ^= 0x40;
      return garbled;
    },
  };
}

const present = (line: Line, channel: CardChannel) =>
  personalizeCard({ context: line.context, reader: "reader 1", channel });

// Diversified keys fit one name alone: tests/faults garbles every answer of such a card.
Deno.test("personalizeCard() a name that arrives garbled gets no serial and leaves nothing to finish, though given keys fit it", async () => {
  const service = new AttestationDouble();
  service.distinctChips = true;
  const line = await makeLine(profileOf("test-card", (json) => json.anonymousChips = false), {
    attestation: service,
  });
  try {
    const card = await VirtualCard.open(TEST_CARD);
    const report = await present(line, garbling(card, 0));
    assert.equal(report.reason, "CARD_SWAPPED");
    assert.equal(service.records.size, 0, "no serial for a name that is nobody's");
    assert.deepEqual(line.journal.unfinished(), []);
    const again = await line.present(card);
    assert.equal(again.outcome, "attested", `${again.reason} ${again.message}`);
    assert.equal(service.records.size, 1);
    assert.deepEqual(line.journal.unfinished(), []);
  } finally {
    await line.close();
  }
});

Deno.test("personalizeCard() a certified card of another station that names itself garbled is not asked for", async () => {
  const service = new AttestationDouble();
  service.distinctChips = true;
  const profile = profileOf("test-card", (json) => json.anonymousChips = false);
  const here = await makeLine(profile, { attestation: service });
  const there = await makeLine(profile, { attestation: service });
  try {
    const card = await VirtualCard.open(TEST_CARD);
    service.station = "line-1";
    // Torn behind the certificate: at the last APDUs of the whole sequence.
    let apdus = 0;
    const whole = await VirtualCard.open({ ...TEST_CARD, keyDiversificationData: "0102030405060708090A" });
    apdus = (await here.present(whole)).apdus;
    assert.equal(
      (await here.present(card, [{ kind: "after-answer", index: apdus - 4 }])).reason,
      "CARD_REMOVED",
    );
    const records = service.records.size;
    service.station = "line-2";
    const garbled = await present(there, garbling(card, 0));
    assert.equal(garbled.reason, "CARD_SWAPPED");
    assert.equal(service.records.size, records);
    assert.deepEqual(there.journal.unfinished(), []);
    const report = await there.present(card);
    assert.equal(report.outcome, "attested", `${report.reason} ${report.message}`);
    assert.equal(service.records.size, records);
  } finally {
    await here.close();
    await there.close();
  }
});

Deno.test("forgetUnproven() forgets chips that never proved themselves, and what was counted stays in force", async () => {
  const line = await makeLine(profileOf("test-card"));
  try {
    const { journal } = line;
    const begin = (chip: string) => journal.begin({ chip, batch: "b", reader: "r", startedAt: 1 });
    const ghost = journal.change(begin("ghost").id, { attempts: 3 });
    const proven = begin("proven");
    journal.note({ card: proven.id, step: "authenticate", state: "done", note: null, at: 1 });
    const reserved = journal.change(begin("reserved").id, {
      reservation: crypto.randomUUID(),
      serial: "00000001",
    });
    assert.equal(forgetUnproven(journal), 1);
    assert.deepEqual(journal.unfinished().map(({ id }) => id), [proven.id, reserved.id]);
    assert.deepEqual([journal.find("ghost")?.attempts, journal.find("ghost")?.state], [3, "open"]);
    assert.equal(journal.find("ghost")?.id, ghost.id);
  } finally {
    await line.close();
  }
});
