import assert from "node:assert/strict";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { type FlowOutcome } from "./run_flow.ts";
import { testIssuer } from "./testing/attested_cards.ts";
import { CARD_PIN, ENTROPIES, testFlow, type TestRun, testWallet, WALLET_PIN } from "./testing/bench.ts";
import type { ScriptedPerson } from "./testing/scripted_person.ts";

const ISSUER = testIssuer();
const trust = ISSUER.trust();
const OTHER_PIN = "97531";

/** Ended well, and every secret that was typed is wiped. */
function done(outcome: FlowOutcome & { person: ScriptedPerson }) {
  assert.equal(outcome.end, "done", outcome.error?.message);
  wiped(outcome);
  return outcome;
}
function ended(outcome: FlowOutcome & { person: ScriptedPerson }, end: string, code: string) {
  assert.equal(outcome.end, end, outcome.error?.message);
  assert.equal(outcome.error?.code, code, outcome.error?.message);
  wiped(outcome);
  return outcome;
}
const wiped = ({ person }: { person: ScriptedPerson }) =>
  assert.ok(
    person.handed.every((secret) => secret.reveal().every((byte) => byte === 0)),
    "a typed secret stays",
  );

async function backedUp(serial: string, entropy: string = ENTROPIES[2], more: Partial<TestRun> = {}) {
  const card = await ISSUER.card(serial);
  const wallet = await testWallet(entropy);
  done(await testFlow("backup", { wallet, trust, cards: [card], ...more }));
  return { card, wallet };
}

Deno.test("backup to an empty card and restore into an empty wallet: 12, 18 and 24 words", async () => {
  for (const [i, entropy] of ENTROPIES.entries()) {
    const card = await ISSUER.card(`0000000${i + 1}`);
    const wallet = await testWallet(entropy);
    const name = toUtf8("Küche");
    const backup = done(await testFlow("backup", { wallet, trust, cards: [card], name }));
    assert.equal(backup.matches, true);
    assert.equal(backup.taps, 2);
    assert.deepEqual([
      backup.card!.serial,
      backup.card!.name,
      backup.card!.lifeCycle,
      backup.card!.pinTriesLeft,
    ], [
      `0000000${i + 1}`,
      "Küche",
      3,
      3,
    ]);
    assert.equal(wallet.pendingBackup, undefined);
    const empty = await testWallet(null);
    const restore = done(await testFlow("restore", { wallet: empty, trust, cards: [card] }));
    assert.equal(restore.matches, true);
    assert.equal(toHex(empty.entropy.reveal()), entropy);
    assert.deepEqual(restore.person.asked, [{
      name: "cardPin",
      about: { card: restore.card, triesLeft: 3 },
    }]);
    assert.deepEqual(restore.person.notices.map((one) => one.kind), [
      "present",
      "card",
      "present",
      "card",
      "match",
    ]);
  }
});

Deno.test("the wallet's own PIN comes first in every flow, before any card is asked for", async () => {
  const { card, wallet } = await backedUp("00000010");
  for (const flow of ["backup", "restore", "manage", "identify"] as const) {
    wallet.lock();
    const outcome = ended(
      await testFlow(flow, { wallet, trust, cards: [card], secrets: { walletPin: "0000" } }),
      "failed",
      "WALLET_PIN_WRONG",
    );
    assert.deepEqual(outcome.person.notices, []);
    assert.deepEqual(outcome.person.asked, [{ name: "walletPin", about: { triesLeft: 3 } }]);
    wallet.lock();
    ended(
      await testFlow(flow, { wallet, trust, cards: [card], secrets: { walletPin: [] } }),
      "cancelled",
      "WALLET_CANCELLED",
    );
    await testFlow("identify", { wallet, trust, cards: [card], secrets: { walletPin: WALLET_PIN } });
    assert.equal(wallet.triesLeft, 3);
  }
});

Deno.test("each command is refused in the other states of wallet and card", async () => {
  const { card, wallet } = await backedUp("00000011");
  const blank = await ISSUER.card("00000012");
  const empty = await testWallet(null);
  const run = (more: Partial<TestRun>) => ({ wallet, trust, cards: [card], ...more });
  ended(await testFlow("backup", run({})), "refused", "WALLET_CARD_NOT_EMPTY");
  ended(await testFlow("backup", run({ wallet: empty })), "refused", "WALLET_NO_SEED");
  ended(await testFlow("restore", run({})), "refused", "WALLET_HAS_SEED");
  ended(await testFlow("restore", run({ wallet: empty, cards: [blank] })), "refused", "WALLET_CARD_EMPTY");
  ended(await testFlow("manage", run({ wallet: empty })), "refused", "WALLET_NO_SEED");
  ended(await testFlow("manage", run({ cards: [blank], action: "wipe" })), "refused", "WALLET_CARD_EMPTY");
  assert.equal(empty.facts.empty, true);
  // What was refused has changed nothing.
  assert.equal(done(await testFlow("identify", run({ compare: true }))).matches, true);
  const outcome = done(await testFlow("identify", run({ cards: [blank] })));
  assert.deepEqual([outcome.card!.lifeCycle, outcome.card!.name, outcome.card!.pinTriesLeft], [
    2,
    null,
    null,
  ]);
});

Deno.test("both taps must see one unchanged card", async () => {
  const { card, wallet } = await backedUp("00000013");
  const { card: other } = await backedUp("00000014");
  const blank = await ISSUER.card("00000015");
  const blank2 = await ISSUER.card("00000016");
  const empty = await testWallet(null);
  ended(
    await testFlow("restore", { wallet: empty, trust, cards: [card, other] }),
    "refused",
    "WALLET_CARD_OTHER",
  );
  ended(await testFlow("backup", { wallet, trust, cards: [blank, blank2] }), "refused", "WALLET_CARD_OTHER");
  for (const action of ["pin", "name", "wipe"] as const) {
    const run = { wallet, trust, cards: [card, other], action, name: toUtf8("x"), confirm: { wipe: true } };
    ended(await testFlow("manage", run), "refused", "WALLET_CARD_OTHER");
  }
  // Another wallet spends a try between the taps: what was shown is no longer true.
  const outcome = await testFlow("restore", {
    wallet: empty,
    trust,
    cards: [card],
    secrets: { cardPin: CARD_PIN },
    onNotice: () => {},
    intercept: (channel, tap) => tap === 1 ? spendTryAtClose(channel, () => spend(card)) : channel,
  });
  ended(outcome, "refused", "WALLET_CARD_OTHER");
  assert.match(outcome.error!.message, /pinTriesLeft/);
  assert.equal(empty.facts.empty, true);
});

const spend = async (card: TestRun["cards"][number]) => {
  const wallet = await testWallet(null);
  await testFlow("restore", { wallet, trust, cards: [card], secrets: { cardPin: "1111" } });
};
function spendTryAtClose(
  channel: Parameters<NonNullable<TestRun["intercept"]>>[0],
  work: () => Promise<void>,
) {
  return {
    get atr() {
      return channel.atr;
    },
    transmit: (command: Uint8Array) => channel.transmit(command),
    reset: () => channel.reset(),
    close: async () => {
      await channel.close();
      await work();
    },
  };
}

Deno.test("tries are shown, a wrong PIN is told, the last try is confirmed, the third wrong one wipes", async () => {
  const { card } = await backedUp("00000017");
  const empty = await testWallet(null);
  const wrong = { wallet: empty, trust, cards: [card], secrets: { cardPin: "1111" } };
  const first = ended(await testFlow("restore", wrong), "refused", "WALLET_CARD_PIN_WRONG");
  assert.equal(first.card!.pinTriesLeft, 2);
  // A person may try again in the same run; the last try is asked about first.
  const retry = { ...wrong, canRetry: true, secrets: { cardPin: ["1111", "1111"] } };
  const second = ended(await testFlow("restore", retry), "cancelled", "WALLET_CANCELLED");
  assert.deepEqual(second.person.asked.map(({ name, about }) => [name, about.triesLeft]), [["cardPin", 2], [
    "last-try",
    1,
  ]]);
  const third = await testFlow("restore", { ...wrong, confirm: { "last-try": true } });
  ended(third, "wiped", "WALLET_CARD_WIPED");
  assert.equal(third.card!.lifeCycle, 2);
  const after = done(await testFlow("identify", { wallet: empty, trust, cards: [card] }));
  assert.equal(after.card!.lifeCycle, 2);
  assert.equal(empty.facts.empty, true);
});

Deno.test("the right PIN at the last try restores the tries", async () => {
  const { card } = await backedUp("00000018");
  const empty = await testWallet(null);
  for (const _ of [1, 2]) {
    await testFlow("restore", { wallet: empty, trust, cards: [card], secrets: { cardPin: "1111" } });
  }
  ended(await testFlow("restore", { wallet: empty, trust, cards: [card] }), "cancelled", "WALLET_CANCELLED");
  const outcome = done(
    await testFlow("restore", { wallet: empty, trust, cards: [card], confirm: { "last-try": true } }),
  );
  assert.equal(outcome.card!.pinTriesLeft, 3);
});

Deno.test("manage changes PIN and name, and the card still holds the seed", async () => {
  const { card, wallet } = await backedUp("00000019");
  const run = { wallet, trust, cards: [card] };
  const pin = done(await testFlow("manage", { ...run, choice: "pin", secrets: { newCardPin: OTHER_PIN } }));
  assert.equal(pin.matches, true);
  ended(await testFlow("identify", { ...run, compare: true }), "refused", "WALLET_CARD_PIN_WRONG");
  const secrets = { cardPin: OTHER_PIN };
  assert.equal(done(await testFlow("identify", { ...run, compare: true, secrets })).matches, true);
  for (const [name, shown] of [["Tresor", "Tresor"], ["x".repeat(32), "x".repeat(32)], ["", null]] as const) {
    const outcome = done(await testFlow("manage", { ...run, action: "name", name: toUtf8(name), secrets }));
    assert.equal(outcome.card!.name, shown);
  }
  ended(await testFlow("manage", { ...run, action: "name", secrets }), "failed", "WALLET_CONFIRM");
});

Deno.test("manage erases after a yes; a card of another seed needs a second one", async () => {
  const { card, wallet } = await backedUp("0000001A");
  const stranger = await testWallet(ENTROPIES[0]);
  const run = { trust, cards: [card], action: "wipe" as const };
  ended(await testFlow("manage", { ...run, wallet }), "cancelled", "WALLET_CANCELLED");
  const other = await testFlow("manage", { ...run, wallet: stranger, confirm: { wipe: true } });
  ended(other, "cancelled", "WALLET_CANCELLED");
  assert.equal(other.matches, false);
  assert.equal(
    done(await testFlow("identify", { wallet, trust, cards: [card], compare: true })).matches,
    true,
  );
  assert.equal(
    done(await testFlow("identify", { wallet: stranger, trust, cards: [card], compare: true })).matches,
    false,
  );
  const confirmed = { wipe: true, "other-seed": true };
  const wipe = done(await testFlow("manage", { ...run, wallet: stranger, confirm: confirmed }));
  assert.deepEqual([wipe.card!.lifeCycle, wipe.card!.name], [2, null]);
  done(await testFlow("backup", { wallet, trust, cards: [card] }));
});

Deno.test("cards of another issuer, and without strict certificates, are told apart", async () => {
  const wallet = await testWallet();
  const card = await ISSUER.card("0000001B");
  const foreign = testIssuer().trust();
  ended(
    await testFlow("backup", { wallet, trust: foreign, cards: [card] }),
    "failed",
    "MUTUAL_CARD_CERTIFICATE",
  );
  const loose = ISSUER.trust({ strict: false, targetId: "33400004" });
  done(await testFlow("backup", { wallet, trust: loose, cards: [card] }));
  const target = ISSUER.trust({ targetId: "33400005" });
  ended(
    await testFlow("identify", { wallet, trust: target, cards: [card] }),
    "failed",
    "WALLET_OTHER_TARGET",
  );
});

Deno.test("the last try of the wallet's own PIN is confirmed, a person may try again, the third wrong one erases", async () => {
  const card = await ISSUER.card("0000001C");
  const run = { trust, cards: [card], canRetry: true };
  const wallet = await testWallet();
  wallet.lock();
  const declined = await testFlow("backup", {
    ...run,
    wallet,
    secrets: { walletPin: ["12", "0000", "0000"] },
  });
  ended(declined, "cancelled", "WALLET_CANCELLED");
  assert.deepEqual(declined.person.asked.map((one) => one.name), [
    "walletPin",
    "walletPin",
    "walletPin",
    "last-try",
  ]);
  assert.deepEqual(declined.person.notices.map((one) => one.kind), ["pin-rule", "pin-wrong", "pin-wrong"]);
  const confirm = { "last-try": true };
  ended(
    await testFlow("backup", { ...run, wallet, confirm, secrets: { walletPin: "9999" } }),
    "failed",
    "WALLET_ERASED",
  );
  assert.equal(wallet.exists, false);
});

Deno.test("every flow works on a card that is not ours: other AID, AES-256 channel keys, target and a certificate of two tags", async () => {
  const key = "5A".repeat(32);
  const foreign = { aid: "F0000000010203", keyVersion: 0x21, key, targetId: "11223344" };
  const card = await ISSUER.card("DEADBEEF", undefined, foreign);
  const fields = {
    appletAid: foreign.aid,
    channelKeys: { version: 0x21, enc: key, mac: key, dek: key },
    targetId: foreign.targetId,
  };
  const wallet = await testWallet(ENTROPIES[1]);
  const strict = ISSUER.trust(fields);
  ended(
    await testFlow("identify", { wallet, trust: strict, cards: [card] }),
    "failed",
    "MUTUAL_CARD_CERTIFICATE",
  );
  const run = { trust: ISSUER.trust({ ...fields, strict: false }), cards: [card] };
  done(await testFlow("backup", { ...run, wallet }));
  const empty = await testWallet(null);
  done(await testFlow("restore", { ...run, wallet: empty }));
  assert.equal(toHex(empty.entropy.reveal()), ENTROPIES[1]);
  done(await testFlow("manage", { ...run, wallet, action: "wipe", confirm: { wipe: true } }));
});
