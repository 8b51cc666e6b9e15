/** Everybody but the card's holder misbehaves: the seed stays, and each refusal has a code and says what to do next. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, codeOf, errorRow } from "shared/base/errors.ts";
import { INS_LOAD } from "shared/protocol/gp/constants.ts";
import type { UpdateStep } from "shared/protocol/wire/update.ts";
import { openUpdateJournal } from "device/update/journal.ts";
import type { UpdateServicePort } from "device/update/ports.ts";
import { CARD_PIN, ENTROPIES, testFlow, testWallet } from "device/wallet/testing/bench.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { UpdateService } from "factory/service/update/update_service.ts";
import { makeUpdateVault, VAULT_LIMITS } from "factory/service/update/vault.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import { openScene, type SceneRun, type UpdateScene } from "./machinery/scene.ts";

/** The code that a run is refused with. */
async function refusal(scene: UpdateScene, run: SceneRun): Promise<string> {
  try {
    await scene.update({ journal: await scene.journalFolder(), ...run });
  } catch (error) {
    assert.ok(error instanceof CodedError, String(error));
    assert.ok(errorRow(error.code).next.length > 20, `${error.code} says what to do next`);
    return error.code;
  }
  return "none";
}

/** The card's version, when it opens with its PIN and holds its seed. */
async function versionOf(scene: UpdateScene, card: VirtualCard): Promise<string> {
  const outcome = await testFlow("identify", {
    wallet: await testWallet(ENTROPIES[2]),
    trust: scene.issuer.trust(),
    cards: [card],
    compare: true,
    secrets: { cardPin: CARD_PIN },
    confirm: { "last-try": true },
  });
  assert.equal(outcome.end, "done", outcome.error?.message);
  assert.equal(outcome.matches, true);
  return outcome.card!.version;
}

/** A service between the wallet and the real one that changes steps. */
function changing(real: UpdateServicePort, change: (step: UpdateStep) => UpdateStep): UpdateServicePort {
  return {
    challenge: (update) => real.challenge(update),
    begin: async (update, request) => change(await real.begin(update, request)),
    resume: async (update, request) => change(await real.resume(update, request)),
    step: async (update, number, answers) => change(await real.step(update, number, answers)),
  };
}

Deno.test("a hostile service or companion: no command passes that is not this package's", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const flips: ((command: Uint8Array) => Uint8Array | undefined)[] = [
    // One bit of a LOAD block; another block's number; a block of another length.
    (command) => command[1] === INS_LOAD ? command.with(20, command[20]! ^ 1) : undefined,
    (command) => command[1] === INS_LOAD ? command.with(3, command[3]! ^ 1) : undefined,
    // A DELETE, an abort, a start of another package, another level of the channel.
    (command) => command[1] === INS_LOAD ? command.with(1, 0xe4) : undefined,
    (command) => command[1] === 0xea ? command.with(2, 0x04) : undefined,
    (command) => command[1] === 0xea && command[2] === 0x01 ? command.with(9, command[9]! ^ 1) : undefined,
    (command) => command[1] === 0x82 ? command.with(2, 0x03) : undefined,
    (command) => command[1] === 0x50 ? command.with(2, 0x30) : undefined,
    (command) => command[1] === 0xa4 ? command.with(6, command[6]! ^ 1) : undefined,
  ];
  for (const [place, flip] of flips.entries()) {
    const copy = await scene.copy(card);
    let changed = false;
    const service = changing(scene.port(), (step) => ({
      ...step,
      commands: step.commands.map((text) => {
        const other = flip(fromHex(text));
        changed ||= other !== undefined;
        return other === undefined ? text : toHex(other);
      }),
    }));
    const journal = await scene.journalFolder();
    assert.equal(
      await refusal(scene, { card: copy, service, journal }),
      "WALLET_UPDATE_COMMAND",
      `flip ${place}`,
    );
    assert.ok(changed, `flip ${place}`);
    // The honest service goes on wherever the card was left.
    assert.equal((await scene.update({ card: copy, journal })).to, "1.1.0", `flip ${place}`);
    assert.equal(await versionOf(scene, copy), "1.1.0");
  }
  // It says that it is done when it is not; it skips a step; it never ends.
  const lies: [string, (step: UpdateStep) => UpdateStep][] = [
    ["WALLET_UPDATE_CHANGED", (step) => ({ ...step, commands: [], end: "updated" })],
    ["WALLET_UPDATE_PROTOCOL", (step) => ({ ...step, step: step.step + 1 })],
    ["WALLET_UPDATE_PROTOCOL", (step) => ({ ...step, commands: [] })],
  ];
  for (const [code, lie] of lies) {
    const copy = await scene.copy(card);
    assert.equal(await refusal(scene, { card: copy, service: changing(scene.port(), lie) }), code);
    assert.equal(await versionOf(scene, copy), "1.0.0");
  }
});

Deno.test("the PIN: a wrong one ends the run, the last try is confirmed, none left is told", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const wrong = { cardPin: "99999" };
  assert.equal(await refusal(scene, { card, secrets: wrong, canRetry: true }), "WALLET_CARD_PIN_WRONG");
  assert.equal(await refusal(scene, { card, secrets: wrong }), "WALLET_CARD_PIN_WRONG");
  // One try is left: without a yes no PIN is sent, whatever it is.
  assert.equal(await refusal(scene, { card, secrets: wrong }), "WALLET_CANCELLED");
  const updated = await scene.update({ card, confirm: { "last-try": true } });
  assert.deepEqual([updated.to, updated.seedKept, updated.card.pinTriesLeft], ["1.1.0", true, 3]);
});

Deno.test("what is not offered: halted, another chip, a downgrade, a newer version than the release, a revoked card", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const { repository } = scene;
  const file = await scene.package({ major: 1, minor: 2 });
  repository.publish(file, { chips: [{ chip: "P71D321", os: "JCOP 4" }] });
  assert.equal(await refusal(scene, { card }), "WALLET_UPDATE_NOT_OFFERED");
  repository.publish(file, { replaces: ["1.1"] });
  assert.equal(await refusal(scene, { card }), "WALLET_UPDATE_NOT_OFFERED");
  repository.publish(file, {});
  repository.halt("1.2");
  assert.equal(await refusal(scene, { card }), "WALLET_UPDATE_NOT_OFFERED");
  // Lower than that of the card's own version, which is a release too.
  repository.publish(await scene.package({ major: 1, minor: 0 }));
  repository.publish(file, { securityCounter: 0 });
  assert.equal(await refusal(scene, { card }), "WALLET_UPDATE_NOT_OFFERED");
  repository.publish(file, {});
  // A wallet that does not look: the vault refuses by itself.
  const blind = {
    choose: async () => {
      const found = await repository.newest("recovery-key");
      return found && { ...found, verified: { ...found.verified, halted: undefined } };
    },
    newest: repository.newest,
    find: repository.find,
  };
  assert.equal(await refusal(scene, { card, more: { releases: blind } }), "RELEASE_HALTED");
  const revoked = scene.issuer.revocations([(await look(scene, card)).certificateSha256], 2);
  const strict = new UpdateService({
    vault: makeUpdateVault(scene.vaultOptions),
    store: scene.store,
    revocations: () => Promise.resolve(revoked),
    record: () => Promise.resolve(),
  });
  repository.publish(await scene.package({ major: 1, minor: 3 }));
  assert.equal(await refusal(scene, { card, service: scene.port(strict) }), "UPDATE_CARD_REVOKED");
  assert.equal(await versionOf(scene, card), "1.0.0");
});

/** Takes the card away when its second block comes. */
function pulledAtLoad(): (channel: CardChannel) => CardChannel {
  let blocks = 0;
  return (channel) => ({
    atr: channel.atr,
    reset: () => channel.reset(),
    close: () => channel.close(),
    async transmit(command) {
      if (command[1] !== INS_LOAD || ++blocks !== 2) return await channel.transmit(command);
      await channel.close();
      throw new CodedError("CARD_REMOVED", "Cannot transmit: the card has left the reader");
    },
  });
}

async function look(scene: UpdateScene, card: VirtualCard) {
  const outcome = await testFlow("identify", {
    wallet: await testWallet(),
    trust: scene.issuer.trust(),
    cards: [card],
  });
  return outcome.card!;
}

Deno.test("another card half-way, and a card whose keys are another card's", async () => {
  await using scene = await openScene();
  const [first, second] = [await scene.card(), await scene.card()];
  const journal = await scene.journalFolder();
  // The second presentation shows the other card.
  let presented = 0;
  const pull = pulledAtLoad();
  const swap: SceneRun = {
    card: first,
    journal,
    more: {
      connect: () =>
        Promise.resolve(presented++ === 0 ? pull(openInProcessChannel(first)) : openInProcessChannel(second)),
    },
  };
  await assert.rejects(scene.update(swap), { code: "WALLET_UPDATE_OTHER_CARD" });
  assert.equal(await versionOf(scene, second), "1.0.0");
  assert.equal((await scene.update({ card: first, journal })).to, "1.1.0");
  // The proof of one card, the commands to another: its keys are another's.
  let transmitted = 0;
  const relayed = await scene.card();
  const code = await refusal(scene, {
    card: relayed,
    service: changing(scene.port(), (step) => ({ ...step, authorization: null })),
    intercept: (channel) => {
      const other = openInProcessChannel(second);
      return {
        atr: channel.atr,
        reset: () => channel.reset(),
        close: () => channel.close(),
        // From the vault's SELECT on, everything goes to the other card.
        transmit: (command) =>
          (transmitted > 0 || isUpgradeSelect(command)) && ++transmitted > 0
            ? other.transmit(command)
            : channel.transmit(command),
      };
    },
  });
  assert.ok(["UPDATE_CARD_OTHER", "UPDATE_CARD_REFUSED"].includes(code), code);
  assert.equal(await versionOf(scene, relayed), "1.0.0");
});

const isUpgradeSelect = (command: Uint8Array) => toHex(command).startsWith("00A4040008A000000151555047");

Deno.test("one client keeps no other out: its oldest challenge and session give way to its newest", async () => {
  await using scene = await openScene();
  const vault = makeUpdateVault({
    ...scene.vaultOptions,
    limits: { ...VAULT_LIMITS, challenges: 3, sessions: 3, ofOne: 2 },
  });
  const mine = await vault.challenge("b 1");
  for (let number = 1; number <= 9; number++) await vault.challenge(`a ${number}`);
  assert.deepEqual(await vault.challenge("b 1"), mine);
  assert.equal((await vault.describe()).challenges, 3);
  // Sessions that nothing was proven for cost nobody but their client.
  const request = {
    authorization: null,
    package: (await scene.package({ major: 1, minor: 1 })).toBase64(),
    recovery: null,
  };
  const held = await vault.resume("b 1", request);
  for (let number = 1; number <= 4; number++) await vault.resume(`a ${number}`, request);
  assert.equal((await vault.describe()).sessions, 3);
  assert.deepEqual(await vault.resume("b 1", request), held);
  await assert.rejects(vault.step("a 2", 1, ["9000"], null), { code: "UPDATE_SESSION_GONE" });
  await vault.resume("c 1", request).then(
    () => assert.fail(),
    (error) => assert.equal(codeOf(error), "UPDATE_BUSY"),
  );
});

Deno.test("service or reader gone: the words say where the card stands, and the same command goes on", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const journal = await scene.journalFolder();
  const told = async (run: Omit<SceneRun, "card">) => {
    try {
      await scene.update({ card, journal, ...run });
    } catch (error) {
      assert.ok(error instanceof CodedError);
      return { code: error.code, message: error.message, next: String(error.details.next) };
    }
    return assert.fail("nothing went wrong");
  };
  const gone = (from: number): UpdateServicePort => {
    let requests = 0;
    const ask = <T>(work: () => Promise<T>): Promise<T> =>
      ++requests > from ? Promise.reject(new CodedError("UPDATE_VAULT", "The service is away.")) : work();
    const real = scene.port();
    return {
      challenge: (update) => ask(() => real.challenge(update)),
      begin: (update, request) => ask(() => real.begin(update, request)),
      resume: (update, request) => ask(() => real.resume(update, request)),
      step: (update, step, answers) => ask(() => real.step(update, step, answers)),
    };
  };
  const first = await told({ service: gone(0) });
  assert.deepEqual([first.code, first.message], [
    "UPDATE_VAULT",
    "The service is away; nothing was changed on the card",
  ]);
  const middle = await told({ service: gone(4) });
  assert.match(middle.message, /seed is safe, and it goes on from where it stands/);
  assert.match(middle.next, /rk wallet update/);
  // The next run finds the card without applet, and the reader unplugged.
  let presented = 0;
  const unplugged = await told({
    more: {
      connect: () =>
        presented++ === 0
          ? Promise.resolve(openInProcessChannel(card, { faultPlan: [{ kind: "before", index: 4 }] }))
          : Promise.reject(new CodedError("READER_UNKNOWN", "Cannot connect: there is no such reader")),
    },
  });
  assert.equal(unplugged.code, "READER_UNKNOWN");
  assert.match(unplugged.message, /seed is safe/);
  const { to, seedKept } = await scene.update({ card, journal });
  assert.deepEqual([to, seedKept], ["1.1.0", true]);
});

Deno.test("two updaters at once, a damaged journal, a lost one, another wallet", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const journal = await scene.journalFolder();
  {
    using _held = openUpdateJournal(journal);
    assert.equal(await refusal(scene, { card, journal }), "WALLET_UPDATE_RUNNING");
  }
  await Deno.writeTextFile(`${journal}/journal.json`, "{");
  assert.equal(await refusal(scene, { card, journal }), "WALLET_UPDATE_JOURNAL");
  await Deno.remove(`${journal}/journal.json`);
  const torn = await refusal(scene, {
    card,
    journal,
    intercept: pulledAtLoad(),
    more: { presentations: 1 },
  });
  assert.equal(torn, "WALLET_UPDATE_TORN");
  // A wallet that never saw this card: the service remembers whom it authorized.
  const elsewhere = await scene.update({ card, journal: await scene.journalFolder() });
  assert.equal(elsewhere.to, "1.1.0");
  // The first wallet finds it done, and compares what it remembers.
  const first = await scene.update({ card, journal });
  assert.deepEqual([first.to, first.seedKept], ["1.1.0", true]);
});

Deno.test("a package whose restore fails: the old one comes back, and the seed with it", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  // The built-in applet of this minor version is a broken build: it takes no data back.
  scene.repository.publish(await scene.package({ major: 1, minor: 255 }));
  assert.equal(await refusal(scene, { card }), "WALLET_UPDATE_RECOVERED");
  assert.equal(await versionOf(scene, card), "1.0.0");
});

Deno.test("the vault: a challenge once, a step once, a lost answer the same bytes, no session after it is gone", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const service = scene.service();
  const port = scene.port(service);
  let last: { update: string; number: number; answers: string[]; given: UpdateStep } | undefined;
  const begun: { update: string; request: Parameters<UpdateServicePort["begin"]>[1] }[] = [];
  const watching: UpdateServicePort = {
    ...port,
    begin: async (update, request) => {
      begun.push({ update, request });
      const given = await port.begin(update, request);
      assert.deepEqual(await port.begin(update, request), given);
      return given;
    },
    step: async (update, number, { answers }) => {
      const given = await port.step(update, number, { answers });
      assert.deepEqual(
        await port.step(update, number, { answers }),
        given,
        "a lost answer repeats the same bytes",
      );
      const other = answers.with(-1, "6985");
      await assert.rejects(port.step(update, number, { answers: other }), { code: "UPDATE_STEP" });
      last = { update, number, answers, given };
      return given;
    },
  };
  await scene.update({ card, service: watching });
  assert.equal(last!.given.end, "updated");
  const { update, request } = begun[0]!;
  await assert.rejects(port.begin(crypto.randomUUID(), request), { code: "UPDATE_CHALLENGE" });
  await assert.rejects(port.step(crypto.randomUUID(), 1, { answers: ["9000"] }), {
    code: "UPDATE_SESSION_GONE",
  });
  // Another wallet's session is not there for this one.
  await assert.rejects(service.step("urn:recovery-key:wallet:other", update, 1, ["9000"]), {
    code: "UPDATE_SESSION_GONE",
  });
  // A fresh challenge does not fit the old proof.
  const fresh = crypto.randomUUID();
  await port.challenge(fresh);
  await assert.rejects(port.begin(fresh, request), { code: "UPDATE_CARD_SIGNATURE" });
  const full = scene.service({ limits: { ...scene.vaultOptions.limits!, sessions: 0 } });
  assert.equal(
    codeOf(
      await full.resume("x", fresh, {
        authorization: null,
        package: request.package,
        recovery: null,
      }).catch((error) => error),
    ),
    "UPDATE_BUSY",
  );
});
