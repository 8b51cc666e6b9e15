/** Every step x (not happened, happened without answer, happened) x where the card goes next. */

import assert from "node:assert/strict";
import { FAULT_KINDS } from "device/card/fault_plan.ts";
import { memoryStore } from "device/card/store.ts";
import { encodeCardState } from "device/card/state.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import { RESUMPTION, STEP_NAMES } from "factory/domain/personalization/resumption.ts";
import { stepsOf } from "factory/domain/personalization/steps.ts";
import { personalizeCard } from "factory/service/station/engine.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { toHex, writeUint } from "shared/base/bytes.ts";
import { AttestationDouble } from "./attestation_double.ts";
import { type Line, makeLine, profileOf, VirtualCard } from "./bench_line.ts";

const PROFILE = profileOf("recovery-key", (profile) => {
  profile.anonymousChips = false;
  profile.expectedCplc = null;
});

let chips = 0;
/** A blank card with a chip of its own. */
async function chip(): Promise<{ card: VirtualCard; state: () => string }> {
  chips++;
  const store = memoryStore();
  const card = await VirtualCard.open({
    store,
    cplc: `4790${"00".repeat(36)}${toHex(writeUint(chips, 4))}`,
    keyDiversificationData: toHex(writeUint(chips, 10)),
  });
  // Counters move with every INITIALIZE UPDATE: they are no content.
  const state = () => encodeCardState(store.load()!).replace(/"sequenceCounter":\s*\d+/g, "");
  return { card, state };
}

async function twoLines(
  work: (here: Line, there: Line, service: AttestationDouble) => Promise<void>,
): Promise<void> {
  const service = new AttestationDouble();
  service.distinctChips = true;
  const here = await makeLine(PROFILE, { attestation: service });
  const there = await makeLine(PROFILE, { attestation: service });
  // More cards than a small batch has.
  for (const { context } of [here, there]) Object.assign(context.batch, { lastSerial: "0000FFFF" });
  try {
    await work(here, there, service);
  } finally {
    await here.close();
    await there.close();
  }
}

/** APDUs of a whole run by the step that sends them. */
async function trace(line: Line): Promise<readonly string[]> {
  const { card } = await chip();
  const steps: string[] = [];
  let step = "look";
  const context = {
    ...line.context,
    emit: (event: Parameters<typeof line.context.emit>[0]) => {
      if (event.event === "step") step = event.step;
    },
  };
  const channel = watching(openInProcessChannel(card), () => steps.push(step));
  const report = await personalizeCard({ context, reader: "reader 1", channel });
  assert.equal(report.outcome, "attested", report.message ?? "");
  return steps;
}

function watching(channel: CardChannel, before: () => void): CardChannel {
  return {
    atr: channel.atr,
    reset: () => channel.reset(),
    close: () => channel.close(),
    transmit: (apdu) => {
      before();
      return channel.transmit(apdu);
    },
  };
}

Deno.test("RESUMPTION every step that sends commands, torn in every way, goes on at another station from card and service alone", () =>
  twoLines(async (here, there, service) => {
    const steps = await trace(here);
    const sending = new Set(steps);
    for (const { name, exchanges } of stepsOf(PROFILE)) {
      // What is the card's already is not sent; the package is signed for the SSD, so the applet is not moved.
      if (exchanges !== undefined && name !== "associate-applet") {
        assert.ok(sending.has(name), `${name} is torn as well`);
      }
    }
    const serials = new Set<string>();
    for (const kind of FAULT_KINDS) {
      for (const [index, step] of steps.entries()) {
        const where = `${kind} at ${index} (${step})`;
        const { card } = await chip();
        service.station = "line-1";
        const torn = await here.present(card, [{ kind, index }]);
        if (torn.outcome === "attested") continue;
        assert.equal(torn.reason, "CARD_REMOVED", where);
        service.station = "line-2";
        const report = await there.present(card);
        assert.equal(report.outcome, "attested", `${where}: ${report.reason} ${report.message}`);
        assert.ok(!serials.has(report.serial!), where);
        serials.add(report.serial!);
        if (torn.serial !== null) assert.equal(report.serial, torn.serial, where);
        const records = [...service.records.values()].filter(({ serial }) => toHex(serial) === report.serial);
        assert.deepEqual(records.map(({ state }) => state), ["good"], where);
        assert.equal(records[0]!.certificates.at(-1), report.certificateSha256, where);
        // Back at the first station, which believes that it is open: refused, nothing changed, nothing doubled.
        service.station = "line-1";
        const back = await here.present(card);
        assert.equal(back.outcome, "refused", `${where}: ${back.reason} ${back.message}`);
      }
    }
    assert.ok([...service.records.values()].every(({ state }) => state === "good"));
    service.station = "line-2";
    assert.deepEqual(there.journal.unfinished(), []);
  }));

Deno.test("two stations with one name and two journals: a card that goes from one to the other has one serial and one outcome", () =>
  twoLines(async (here, there, service) => {
    const steps = await trace(here);
    const firsts = steps.map((step, index) => step === steps[index - 1] ? -1 : index).filter((index) =>
      index > 0
    );
    for (const index of firsts) {
      const where = `${index} (${steps[index]})`;
      const { card } = await chip();
      const torn = await here.present(card, [{ kind: "after-execution", index }]);
      const report = await there.present(card);
      assert.equal(report.outcome, "attested", `${where}: ${report.reason} ${report.message}`);
      const back = await here.present(card);
      assert.ok(back.outcome === "refused" || back.outcome === "attested", `${where}: ${back.reason}`);
      if (torn.serial !== null) assert.equal(report.serial, torn.serial, where);
      if (back.outcome === "attested") assert.equal(back.serial, report.serial, where);
    }
    assert.ok([...service.records.values()].every(({ state }) => state === "good"));
    assert.equal(service.records.size, firsts.length + 1);
  }));

Deno.test("RESUMPTION a card that is swapped at any APDU gets nothing, and both end attested with a serial each", () =>
  twoLines(async (line, other, service) => {
    const steps = await trace(line);
    const early = steps.indexOf("create-key");
    assert.ok(early > 0);
    for (const [index, step] of steps.entries()) {
      // The one that comes instead: blank, and as far as it can be while keys that all cards share open it.
      for (const torn of [undefined, early]) {
        const where = `swapped at ${index} (${step}), torn at ${torn}`;
        const [first, second] = [await chip(), await chip()];
        if (torn !== undefined) {
          const begun = await other.present(second.card, [{ kind: "before", index: torn }]);
          assert.equal(begun.reason, "CARD_REMOVED", where);
        }
        const before = second.state();
        const channel = openInProcessChannel(first.card);
        let sent = 0;
        let now: CardChannel = channel;
        const swapping: CardChannel = {
          atr: channel.atr,
          reset: () => now.reset(),
          close: () => now.close(),
          transmit: async (apdu) => {
            if (sent++ === index) {
              await now.close();
              now = openInProcessChannel(second.card);
            }
            return await now.transmit(apdu);
          },
        };
        const report = await personalizeCard({
          context: line.context,
          reader: "reader 1",
          channel: swapping,
        });
        // Before the chip has said who it is, nothing was begun: the second is simply the card.
        if (report.outcome !== "attested") {
          assert.equal(report.outcome, "failed", `${where}: ${report.reason}`);
          assert.equal(second.state(), before, `${where}: the wrong card was written`);
        }
        for (const { card } of [first, second]) {
          const end = await line.present(card);
          const right = end.outcome === "attested" ||
            (end.outcome === "refused" && end.reason === "CARD_ALREADY_ATTESTED");
          assert.ok(right, `${where}: ${end.outcome} ${end.reason} ${end.message}`);
        }
      }
    }
    const serials = [...service.records.values()].map(({ serial }) => toHex(serial));
    assert.equal(new Set(serials).size, serials.length);
    assert.ok(![...service.records.values()].some(({ state }) => state === "scrapped"));
  }));

Deno.test("RESUMPTION a card that loses its power at any APDU, without leaving the reader, is neither blocked nor scrapped", () =>
  twoLines(async (line) => {
    const steps = await trace(line);
    const reasons = new Set<string | null>();
    for (const [index, step] of steps.entries()) {
      const { card } = await chip();
      const channel = openInProcessChannel(card);
      let sent = 0;
      const resetting: CardChannel = {
        ...watching(channel, () => {}),
        transmit: async (apdu) => {
          if (sent++ === index) await channel.reset();
          return await channel.transmit(apdu);
        },
      };
      const report = await personalizeCard({ context: line.context, reader: "reader 1", channel: resetting });
      reasons.add(report.reason);
      if (report.outcome === "attested") continue;
      assert.equal(report.outcome, "failed", `${index} (${step}): ${report.reason} ${report.message}`);
      const again = await line.present(card);
      assert.equal(again.outcome, "attested", `${index} (${step}): ${again.reason} ${again.message}`);
    }
    assert.ok(reasons.has("CARD_RESET"));
  }));

Deno.test("RESUMPTION a card that diversifies each domain on its own is the same card, and is asked once", () =>
  twoLines(async (line) => {
    const { card } = await chip();
    const channel = openInProcessChannel(card);
    let selected = "";
    const own: CardChannel = {
      ...watching(channel, () => {}),
      transmit: async (apdu) => {
        const answer = await channel.transmit(apdu);
        if (apdu[1] === 0xa4 && answer.at(-2) === 0x90) selected = toHex(apdu.subarray(5, 5 + apdu[4]!));
        // Diversification data is the first field of the answer, and no part of any cryptogram.
        if (apdu[1] === 0x50 && answer.length > 12 && selected !== PROFILE.aids.isd) answer.set([0xab, 0xcd]);
        return answer;
      },
    };
    const report = await personalizeCard({ context: line.context, reader: "reader 1", channel: own });
    assert.equal(report.outcome, "attested", report.message ?? "");
  }));

Deno.test("RESUMPTION a chip that was certified and is blank is another chip: refused, not given the same serial", () =>
  twoLines(async (line, _other, service) => {
    const same = { cplc: `4790${"AB".repeat(40)}`, keyDiversificationData: "AB".repeat(10) };
    const first = await VirtualCard.open(same);
    const whole = await trace(line);
    const torn = await line.present(first, [{ kind: "before", index: whole.indexOf("prove") }]);
    assert.equal(torn.reason, "CARD_REMOVED");
    const twin = await line.present(await VirtualCard.open(same));
    assert.deepEqual([twin.outcome, twin.reason], ["refused", "CARD_DUPLICATE"], twin.message ?? "");
    const rest = await line.present(first);
    assert.deepEqual([rest.outcome, rest.serial], ["attested", torn.serial]);
    assert.equal(service.byChip.size, 2);
  }));

Deno.test("RESUMPTION authentications that bring no answer are counted before they are tried; a human allows the next one", () =>
  twoLines(async (line) => {
    const { card } = await chip();
    const whole = await trace(line);
    const at = await indexOfAuthentication(line);
    assert.ok(at > 0 && at < whole.length);
    const tries: (string | null)[] = [];
    for (let i = 0; i < 7; i++) {
      tries.push((await line.present(card, [{ kind: "after-execution", index: at }])).reason);
    }
    assert.deepEqual(tries, [
      ...Array(5).fill("CARD_REMOVED"),
      ...Array(2).fill("CARD_AUTHENTICATION_BLOCKED"),
    ]);
    const { context } = line;
    const channel = openInProcessChannel(card);
    const allowed = { ...context, retryAuthentication: true };
    const report = await personalizeCard({ context: allowed, reader: "reader 1", channel });
    assert.equal(report.outcome, "attested", report.message ?? "");
  }));

async function indexOfAuthentication(line: Line): Promise<number> {
  const { card } = await chip();
  let found = -1;
  let index = 0;
  const channel = openInProcessChannel(card);
  const seeing: CardChannel = {
    ...watching(channel, () => {}),
    transmit: (apdu) => {
      if (apdu[1] === 0x82 && found < 0) found = index;
      index++;
      return channel.transmit(apdu);
    },
  };
  await personalizeCard({ context: line.context, reader: "reader 1", channel: seeing });
  return found;
}

Deno.test("RESUMPTION has a row for every step, and none scraps for a tear", () => {
  for (const name of STEP_NAMES) {
    const row = RESUMPTION[name];
    for (const { on } of row.scrap) {
      assert.doesNotMatch(on, /REMOVED|TIMEOUT|NO_ANSWER|SWAPPED|JOURNAL|UNREACHABLE/);
    }
    for (const text of [row.card, row.journal, row.next, row.torn]) assert.match(text, /\.$/);
  }
});
