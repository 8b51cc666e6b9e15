import assert from "node:assert/strict";
import { toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openInProcessChannel } from "../card/in_process_channel.ts";
import { VirtualCard } from "../card/virtual_card.ts";
import { CardSession } from "./card_session.ts";
import { testIssuer } from "./testing/attested_cards.ts";
import { CARD_PIN, testFlow, testWallet } from "./testing/bench.ts";

const ISSUER = testIssuer();
const trust = ISSUER.trust();
type Fields = Record<string, unknown>;

/** Cards from one state file, each with fields of the applet's memory exchanged. */
async function withCards(
  work: (lie: (change: (memory: Fields) => Fields) => Promise<VirtualCard>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/card.json`;
    const card = await ISSUER.card("00C0FFEE", path);
    assert.equal(
      (await testFlow("backup", { wallet: await testWallet(), trust, cards: [card] })).end,
      "done",
    );
    card.close();
    const honest = JSON.parse(await Deno.readTextFile(path));
    let count = 0;
    await work(async (change) => {
      const state = structuredClone(honest);
      state.instances[0].recoveryKey = change(state.instances[0].recoveryKey);
      const file = `${folder}/lie-${++count}.json`;
      await Deno.writeTextFile(file, JSON.stringify(state), { mode: 0o600 });
      return await VirtualCard.open({ stateFile: file });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("restore refuses what no genuine card says, and the wallet stays empty", () =>
  withCards(async (lie) => {
    const seed = (hex: string) => (memory: Fields) => ({
      ...memory,
      seed: hex.padEnd(66, "0").toUpperCase(),
    });
    const lies: [string, (memory: Fields) => Fields, string][] = [
      [
        "another serial than the certificate",
        (memory) => ({ ...memory, serial: "00C0FFEF" }),
        "MUTUAL_CARD_SERIAL",
      ],
      ["four tries", (memory) => ({ ...memory, pinTriesLeft: 4 }), "WALLET_IMPLAUSIBLE"],
      ["255 tries", (memory) => ({ ...memory, pinTriesLeft: 255 }), "WALLET_IMPLAUSIBLE"],
      ["a name of 33 bytes", (memory) => ({ ...memory, name: "41".repeat(33) }), "WALLET_IMPLAUSIBLE"],
      ["a seed of 17 bytes", seed("11"), "RK_MALFORMED"],
      ["a seed of no length", seed("00"), "RK_MALFORMED"],
      ["16 bytes, padding not zero", seed("10" + "01".repeat(32)), "RK_MALFORMED"],
      ["24 bytes, padding not zero", seed("1800000001" + "AA".repeat(28)), "RK_MALFORMED"],
      ["a seed of 64 bytes", seed("40" + "AA".repeat(32)), "RK_MALFORMED"],
    ];
    for (const [what, change, code] of lies) {
      const wallet = await testWallet(null);
      const outcome = await testFlow("restore", { wallet, trust, cards: [await lie(change)] });
      assert.equal(outcome.end, "failed", what);
      assert.equal(outcome.error?.code, code, what);
      assert.equal(wallet.facts.empty, true, what);
    }
  }));

Deno.test("both taps: another version, certificate, life cycle or name is not the same card", () =>
  withCards(async (lie) => {
    const honest = await lie((memory) => memory);
    const changes: [string, (memory: Fields) => Fields][] = [
      ["version", (memory) => ({ ...memory, version: { major: 9, minor: 0 } })],
      ["lifeCycle", (memory) => ({ ...memory, lifeCycle: 2 })],
      ["name", (memory) => ({ ...memory, name: toHex(toUtf8("other")) })],
    ];
    for (const [what, change] of changes) {
      const wallet = await testWallet(null);
      const outcome = await testFlow("restore", { wallet, trust, cards: [honest, await lie(change)] });
      assert.equal(outcome.error?.code, "WALLET_CARD_OTHER", what);
      assert.match(outcome.error!.message, new RegExp(what));
    }
  }));

Deno.test("a card without tries: nothing asks for its PIN, and manage erases it", () =>
  withCards(async (lie) => {
    const card = await lie((memory) => ({ ...memory, pinTriesLeft: 0 }));
    for (const flow of ["restore", "identify"] as const) {
      const wallet = await testWallet(flow === "restore" ? null : undefined);
      const outcome = await testFlow(flow, { wallet, trust, cards: [card], compare: true });
      assert.equal(outcome.error?.code, "WALLET_CARD_NO_TRIES");
      assert.deepEqual(outcome.person.asked, []);
    }
    const run = { wallet: await testWallet(), trust, cards: [card] };
    assert.equal((await testFlow("manage", { ...run, action: "pin" })).error?.code, "WALLET_CARD_NO_TRIES");
    const wipe = await testFlow("manage", { ...run, action: "wipe", confirm: { wipe: true } });
    assert.equal(wipe.end, "done", wipe.error?.message);
    assert.equal(wipe.card!.lifeCycle, 2);
  }));

/** A channel whose `nth` answer that ends in one status word ends in another. Errors carry no MAC: anyone between can do it. */
function forge(from: number, to: number) {
  return (channel: CardChannel): CardChannel => ({
    get atr() {
      return channel.atr;
    },
    async transmit(command) {
      const answer = await channel.transmit(command);
      const sw = answer.at(-2)! * 256 + answer.at(-1)!;
      return sw === from ? Uint8Array.of(...answer.subarray(0, -2), to >> 8, to & 0xff) : answer;
    },
    reset: () => channel.reset(),
    close: () => channel.close(),
  });
}

Deno.test("forged answers to a wrong PIN are refused: a count that does not fall by one, blocked too early, a bare 9000", () =>
  withCards(async (lie) => {
    for (
      const [to, code] of [
        [0x63c1, "WALLET_IMPLAUSIBLE"],
        [0x63c3, "WALLET_IMPLAUSIBLE"],
        [0x63c0, "WALLET_IMPLAUSIBLE"],
        [0x6983, "WALLET_IMPLAUSIBLE"],
        [0x6f00, "WALLET_IMPLAUSIBLE"],
        [0x9000, "SCP03_RMAC_MISSING"],
      ] as const
    ) {
      const outcome = await testFlow("restore", {
        wallet: await testWallet(null),
        trust,
        cards: [await lie((memory) => memory)],
        secrets: { cardPin: "1111" },
        intercept: forge(0x63c2, to),
      });
      assert.equal(outcome.error?.code, code, to.toString(16));
    }
    // The third wrong PIN erased the card, and somebody hides it: the count is impossible too.
    const outcome = await testFlow("restore", {
      wallet: await testWallet(null),
      trust,
      cards: [await lie((memory) => ({ ...memory, pinTriesLeft: 1 }))],
      secrets: { cardPin: "1111" },
      confirm: { "last-try": true },
      intercept: forge(0x6983, 0x63c2),
    });
    assert.equal(outcome.error?.code, "WALLET_IMPLAUSIBLE");
  }));

Deno.test("one bit in three bytes of every answer of both taps turned over: refused, nothing in the wallet", () =>
  withCards(async (lie) => {
    let count = 0;
    const countAll = (channel: CardChannel): CardChannel => turning(channel, () => void count++);
    const card = await lie((memory) => memory);
    await testFlow("restore", { wallet: await testWallet(null), trust, cards: [card], intercept: countAll });
    assert.ok(count > 20);
    const codes = new Set<string>();
    for (let index = 0; index < count; index++) {
      for (const position of [0, 0.5, 1]) {
        const wallet = await testWallet(null);
        let at = 0;
        const outcome = await testFlow("restore", {
          wallet,
          trust,
          cards: [await lie((memory) => memory)],
          intercept: (channel) =>
            turning(channel, (answer) => {
              if (at++ === index && answer.length > 2) {
                answer[Math.floor((answer.length - 3) * position)]! ^= 1;
                return true;
              }
            }),
        });
        if (outcome.end === "done") {
          // SELECT answers nothing but its status word; key information says nothing that is used.
          assert.ok(wallet.facts.words === 24, `${index} ${position}`);
          continue;
        }
        codes.add(outcome.error!.code);
        assert.equal(wallet.facts.empty, true, `${index} ${position}`);
      }
    }
    assert.ok(
      [...codes].every((code) => /^(SCP03_|MUTUAL_|RK_|CAPSULE_|WALLET_)/.test(code)),
      [...codes].join(),
    );
    console.log(`answers turned over: ${count} x 3, refused with ${[...codes].sort().join(" ")}`);
  }));

function turning(channel: CardChannel, change: (answer: Uint8Array) => unknown): CardChannel {
  return {
    get atr() {
      return channel.atr;
    },
    async transmit(command) {
      const answer = (await channel.transmit(command)).slice();
      change(answer);
      return answer;
    },
    reset: () => channel.reset(),
    close: () => channel.close(),
  };
}

Deno.test("CardSession is not used again after an error, nor for a PIN before the tries were read", () =>
  withCards(async (lie) => {
    const channel = openInProcessChannel(await lie((memory) => memory));
    const open = () => CardSession.open({ channel, trust, random: SYSTEM_RANDOM });
    const session = await open();
    using pin = new Secret(Uint8Array.from(CARD_PIN, Number));
    await assert.rejects(session.verifyPin(pin), { code: "WALLET_FLOW" });
    await assert.rejects(session.readTriesLeft(), { code: "WALLET_SESSION_ENDED" });
    const second = await open();
    // The seed is not read before the PIN: the card refuses, and the session is over.
    await assert.rejects(
      second.readSeed(),
      (error) => error instanceof CodedError && error.code === "WALLET_CARD_REFUSED",
    );
    await assert.rejects(second.facts(), { code: "WALLET_SESSION_ENDED" });
    const third = await open();
    assert.equal((await third.facts()).pinTriesLeft, 3);
    assert.deepEqual(await third.verifyPin(pin), { kind: "right" });
    third.close();
    await assert.rejects(third.readSeed(), { code: "WALLET_SESSION_ENDED" });
    await channel.close();
  }));

/** From the second SELECT of a tap on, another card answers. */
function exchanged(channel: CardChannel, other: Promise<VirtualCard>): CardChannel {
  let selects = 0;
  let now = channel;
  return {
    get atr() {
      return channel.atr;
    },
    async transmit(command) {
      if (command[1] === 0xa4 && ++selects === 2) now = openInProcessChannel(await other);
      return await now.transmit(command);
    },
    reset: () => now.reset(),
    close: () => channel.close(),
  };
}

Deno.test("backup and manage read back what the card stored: another seed, PIN, name or state is found", () =>
  withCards(async (lie) => {
    const blank = () => lie((memory) => ({ ...memory, lifeCycle: 2, pin: null, seed: null }));
    const stored: [string, (memory: Fields) => Fields, RegExp][] = [
      ["seed", (memory) => ({ ...memory, seed: "20" + "AA".repeat(32) }), /another seed/],
      ["PIN", (memory) => ({ ...memory, pin: "0101010101" }), /refuses its PIN/],
      ["name", (memory) => ({ ...memory, name: "41" }), /name reads back/],
      ["nothing", (memory) => ({ ...memory, lifeCycle: 2, pin: null, seed: null }), /still empty/],
    ];
    for (const [what, change, why] of stored) {
      const other = lie(change);
      const wallet = await testWallet();
      const outcome = await testFlow("backup", {
        wallet,
        trust,
        cards: [await blank()],
        intercept: (channel, tap) => tap === 2 ? exchanged(channel, other) : channel,
      });
      assert.equal(outcome.end, "doubtful", `${what}: ${outcome.error?.message}`);
      assert.equal(outcome.error?.code, "WALLET_CARD_DOUBTFUL");
      assert.match(outcome.error!.message, why);
      assert.equal(wallet.pendingBackup, "00C0FFEE", "a backup that was not proven is not forgotten");
    }
    const actions = [["pin", /refuses its new PIN/], ["name", /name reads back/], [
      "wipe",
      /not empty/,
    ]] as const;
    for (const [action, why] of actions) {
      const outcome = await testFlow("manage", {
        wallet: await testWallet(),
        trust,
        cards: [await lie((memory) => memory)],
        action,
        name: toUtf8("new"),
        confirm: { wipe: true },
        secrets: { newCardPin: "97531" },
        intercept: (channel, tap) => tap === 2 ? exchanged(channel, lie((memory) => memory)) : channel,
      });
      assert.equal(outcome.error?.code, "WALLET_CARD_DOUBTFUL", action);
      assert.match(outcome.error!.message, why);
    }
  }));
