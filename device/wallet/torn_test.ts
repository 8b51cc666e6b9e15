import assert from "node:assert/strict";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { FAULT_KINDS, type FaultKind } from "../card/fault_plan.ts";
import type { VirtualCard } from "../card/virtual_card.ts";
import { testIssuer } from "./testing/attested_cards.ts";
import { CARD_PIN, ENTROPIES, testFlow, testWallet } from "./testing/bench.ts";

const ISSUER = testIssuer();
const trust = ISSUER.trust();
const NEW_PIN = "97531";

/** APDUs of each tap of a run without faults. */
async function apdusOf(run: (count: number[]) => Promise<unknown>): Promise<number[]> {
  const count: number[] = [];
  await run(count);
  return count;
}
const intercept = (count: number[]) => (channel: CardChannel, tap: number): CardChannel => {
  count[tap - 1] = 0;
  return {
    get atr() {
      return channel.atr;
    },
    transmit(command) {
      count[tap - 1]!++;
      return channel.transmit(command);
    },
    reset: () => channel.reset(),
    close: () => channel.close(),
  };
};

/** Each APDU of each tap, torn in each way. */
function* tears(counts: readonly number[]): Generator<{ tap: number; index: number; kind: FaultKind }> {
  for (const [tap, apdus] of counts.entries()) {
    for (let index = 0; index < apdus; index++) for (const kind of FAULT_KINDS) yield { tap, index, kind };
  }
}
const planOf = ({ tap, index, kind }: { tap: number; index: number; kind: FaultKind }) =>
  Array.from({ length: tap + 1 }, (_, i) => i === tap ? [{ kind, index }] : []);

let serial = 0;
const freshCard = () => ISSUER.card((++serial).toString(16).padStart(8, "0"));

async function holds(card: VirtualCard, entropy: string, pin = CARD_PIN): Promise<boolean | null> {
  const wallet = await testWallet(entropy);
  const outcome = await testFlow("identify", {
    wallet,
    trust,
    cards: [card],
    compare: true,
    secrets: { cardPin: pin },
  });
  assert.equal(outcome.end, "done", outcome.error?.message);
  return outcome.matches;
}

Deno.test("backup torn at every APDU in every way: the card is empty or holds the seed, and the next run ends well", async () => {
  const name = toUtf8("Safe");
  const counts = await apdusOf(async (count) =>
    testFlow("backup", {
      wallet: await testWallet(),
      trust,
      cards: [await freshCard()],
      name,
      intercept: intercept(count),
    })
  );
  const ends: Record<string, number> = {};
  for (const tear of tears(counts)) {
    const where = JSON.stringify(tear);
    const card = await freshCard();
    const wallet = await testWallet();
    const torn = await testFlow("backup", { wallet, trust, cards: [card], name, faults: planOf(tear) });
    ends[torn.end] = (ends[torn.end] ?? 0) + 1;
    if (torn.end !== "done") {
      assert.equal(torn.error?.code, "WALLET_TORN", where);
      assert.match(
        torn.error!.message,
        torn.end === "uncertain" ? /next .rk wallet backup/ : /nothing was changed/,
        where,
      );
      assert.ok(torn.end === "untouched" || torn.end === "uncertain", where);
      if (torn.end === "untouched") assert.equal(wallet.pendingBackup, undefined, where);
      const next = await testFlow("backup", { wallet, trust, cards: [card], name });
      assert.equal(next.end, "done", `${where} ${next.error?.message}`);
      assert.equal(next.matches, true, where);
      assert.equal(next.card!.name, "Safe", where);
    }
    assert.equal(wallet.pendingBackup, undefined, where);
    assert.equal(await holds(card, ENTROPIES[2]), true, where);
  }
  console.log(`backup torn: APDUs by tap ${counts}, ends ${JSON.stringify(ends)}`);
});

Deno.test("restore torn at every APDU in every way: the wallet is empty or whole, and the next run ends well", async () => {
  const card = await freshCard();
  await testFlow("backup", { wallet: await testWallet(), trust, cards: [card] });
  const counts = await apdusOf(async (count) =>
    testFlow("restore", { wallet: await testWallet(null), trust, cards: [card], intercept: intercept(count) })
  );
  const ends: Record<string, number> = {};
  for (const tear of tears(counts)) {
    const where = JSON.stringify(tear);
    const wallet = await testWallet(null);
    const torn = await testFlow("restore", { wallet, trust, cards: [card], faults: planOf(tear) });
    ends[torn.end] = (ends[torn.end] ?? 0) + 1;
    if (torn.end !== "done") {
      assert.equal(torn.error?.code, "WALLET_TORN", where);
      assert.equal(wallet.facts.empty, true, where);
      const next = await testFlow("restore", { wallet, trust, cards: [card], confirm: { "last-try": true } });
      assert.equal(next.end, "done", `${where} ${next.error?.message}`);
    }
    assert.equal(toHex(wallet.entropy.reveal()), ENTROPIES[2], where);
  }
  console.log(`restore torn: APDUs by tap ${counts}, ends ${JSON.stringify(ends)}`);
});

/** A backed-up card for each APDU of the acting tap of a change, torn there. */
async function* tornChanges(run: Omit<Parameters<typeof testFlow>[1], "cards">) {
  const make = async () => {
    const card = await freshCard();
    await testFlow("backup", { wallet: run.wallet, trust, cards: [card] });
    return card;
  };
  const first = await make();
  const counts = await apdusOf((count) =>
    testFlow("manage", { ...run, cards: [first], intercept: intercept(count) })
  );
  for (const tear of tears(counts)) {
    if (tear.tap === 0) continue;
    const where = JSON.stringify(tear);
    const card = await make();
    const torn = await testFlow("manage", { ...run, cards: [card], faults: planOf(tear) });
    if (torn.end !== "done") assert.equal(torn.error?.code, "WALLET_TORN", where);
    yield { torn, card, where };
  }
}

Deno.test("PIN change torn at every APDU of the acting tap: the old PIN or the new one opens the card, and the seed is there", async () => {
  const wallet = await testWallet();
  const run = { wallet, trust, action: "pin" as const, secrets: { newCardPin: NEW_PIN } };
  for await (const { card, where } of tornChanges(run)) {
    const look = await testFlow("identify", {
      wallet,
      trust,
      cards: [card],
      compare: true,
      secrets: { cardPin: [NEW_PIN, CARD_PIN] },
      canRetry: true,
    });
    assert.equal(look.end, "done", `${where} ${look.error?.message}`);
    assert.equal(look.matches, true, where);
  }
});

Deno.test("wipe torn at every APDU of the acting tap: the card holds the seed or is empty, and says which", async () => {
  const wallet = await testWallet();
  const run = { wallet, trust, action: "wipe" as const, confirm: { wipe: true } };
  for await (const { torn, card, where } of tornChanges(run)) {
    const look = await testFlow("identify", { wallet, trust, cards: [card], compare: true });
    assert.equal(look.end, "done", `${where} ${look.error?.message}`);
    assert.equal(look.matches, look.card!.lifeCycle === 3 ? true : null, where);
    if (torn.end === "untouched") assert.equal(look.matches, true, where);
  }
});
