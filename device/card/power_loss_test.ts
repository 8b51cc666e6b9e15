/** Power fails in the middle of a write: the card is then as it was before the command, or as after it. */

import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { installForLoad } from "shared/protocol/gp/install.ts";
import { loadBlocks } from "shared/protocol/gp/load.ts";
import { putKeyCommand } from "shared/protocol/gp/put_key.ts";
import { setStatusCommand } from "shared/protocol/gp/set_status.ts";
import type { CapsuleKeys } from "shared/protocol/recovery_key/capsule.ts";
import {
  factoryResetCommand,
  getPublicKeyCommand,
  pinChangeCommand,
  setCardNameCommand,
  setSeedCommand,
  setStatusAttestedCommand,
  verifyPinCommand,
} from "shared/protocol/recovery_key/commands.ts";
import type { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { RECOVERY_KEY_MODULE_AID } from "./constants.ts";
import { encodeCardState } from "./state.ts";
import { type CardStore, fileStore, SAVE_STAGES, type SaveStage } from "./store.ts";
import { appletIn, type AppletStateName, iv } from "./testing/applet_bench.ts";
import { cardBench, installDomain, keySet, ok } from "./testing/bench.ts";
import { VirtualCard } from "./virtual_card.ts";

/** A loss of power at a stage, once armed. */
class PowerCut {
  stage: SaveStage | null = null;
  readonly onStage = (stage: SaveStage) => {
    if (stage === this.stage) throw new Error("power lost");
  };
}

/** After these the new state is the card's: the file has its final name. */
const COMMITTED: readonly SaveStage[] = ["renamed", "saved"];

const APPLET: readonly (readonly [string, AppletStateName, (keys: CapsuleKeys) => CommandApdu])[] = [
  ["GET PUBLIC KEY", "0/0", () => getPublicKeyCommand()],
  ["SET STATUS", "1/0", () => setStatusAttestedCommand()],
  ["SET SEED", "2/3+PIN", (keys) => setSeedCommand(keys, new Secret(new Uint8Array(32).fill(7)), iv())],
  ["VERIFY PIN, wrong", "3/3", (keys) => verifyPinCommand(keys, Uint8Array.of(9, 9, 9, 9), iv())],
  ["PIN CHANGE", "3/4", (keys) => pinChangeCommand(keys, Uint8Array.of(5, 5, 5, 5, 5), iv())],
  ["SET DATA", "3/4", (keys) => setCardNameCommand(keys, fromHex("4142"), iv())],
  ["FACTORY RESET", "3/4", (keys) => factoryResetCommand(keys)],
];

const ISSUER: readonly (readonly [string, (channel: SecureChannel) => readonly CommandApdu[]])[] = [
  ["INSTALL", () => [installDomain(fromHex("D000000001"))]],
  ["LOAD", () => {
    const packageAid = fromHex("A00000000102");
    const { loadFileDataBlock } = readCap(writeTestCap({ packageAid, payloadBytes: 100 }));
    return [installForLoad({ packageAid }), ...loadBlocks(loadFileDataBlock, 200)];
  }],
  ["DELETE", () => [deleteCommand(RECOVERY_KEY_MODULE_AID)]],
  ["PUT KEY", (channel) => [
    putKeyCommand({
      newVersion: 0x31,
      replaceVersion: 0x30,
      keys: keySet("5A".repeat(32)),
      encryptWithDek: (data) => channel.encryptWithDek(data),
    }),
  ]],
  ["SET STATUS", () => [setStatusCommand(0x80, 0x07)]],
];

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Cuts one command at a stage and says which of both states the next process finds. */
async function cutAt(
  stage: SaveStage,
  path: string,
  cut: PowerCut,
  store: CardStore,
  card: VirtualCard,
  last: () => Promise<unknown>,
): Promise<void> {
  const before = encodeCardState(store.load()!);
  cut.stage = stage;
  await assert.rejects(last(), /power lost|Cannot execute command/, stage);
  assert.equal(card.powered, false, "the chip is silent");
  cut.stage = null;
  // The same process, power back: it must not go on with what it merely remembers.
  card.powerOn();
  card.close();
  const next = fileStore(path);
  const after = encodeCardState(next.load()!);
  const committed = COMMITTED.includes(stage);
  assert.equal(
    after === before,
    !committed,
    `${stage}: the memory is ${committed ? "not the new" : "not the old"} one`,
  );
  await assert.rejects(Deno.stat(`${path}.new`), Deno.errors.NotFound);
  next.close();
  // And it is a working card.
  const again = await VirtualCard.open({ stateFile: path });
  again.powerOn();
  assert.equal((await again.process(fromHex("8050000008000000000000000000"))).at(-2), 0x90);
  again.close();
}

Deno.test("every applet command that writes is whole or not at all, at every stage of the write", async () => {
  await inFolder(async (folder) => {
    let cuts = 0;
    for (const [, state, make] of APPLET) {
      for (const stage of SAVE_STAGES) {
        const path = `${folder}/${cuts}.json`;
        const cut = new PowerCut();
        const store = fileStore(path, cut);
        const bench = await appletIn(state, (first) => {
          store.save(first);
          return store;
        });
        const c = make(bench.capsuleKeys!);
        await cutAt(stage, path, cut, store, bench.card, () => bench.channel.send(c));
        cuts++;
      }
    }
    console.log(`applet commands cut in the middle of a write: ${cuts}`);
  });
});

Deno.test("every card content command that writes is whole or not at all, at every stage of the write", async () => {
  await inFolder(async (folder) => {
    let cuts = 0;
    for (const [, make] of ISSUER) {
      for (const stage of SAVE_STAGES) {
        const path = `${folder}/${cuts}.json`;
        const cut = new PowerCut();
        const store = fileStore(path, cut);
        const bench = await cardBench({ store, preloaded: { package: {}, instance: {} } });
        const channel = await bench.issuer();
        const commands = make(channel);
        for (const c of commands.slice(0, -1)) await ok(channel.send(c));
        await cutAt(stage, path, cut, store, bench.card, () => channel.send(commands.at(-1)!));
        cuts++;
      }
    }
    console.log(`card content commands cut in the middle of a write: ${cuts}`);
  });
});

Deno.test("a PIN try that was cut after the commit is gone, in the same process too", async () => {
  await inFolder(async (folder) => {
    const cut = new PowerCut();
    const store = fileStore(`${folder}/card.json`, cut);
    const bench = await appletIn("3/3", (first) => {
      store.save(first);
      return store;
    });
    cut.stage = "renamed";
    const wrong = verifyPinCommand(bench.capsuleKeys!, Uint8Array.of(9, 9, 9, 9), iv());
    await assert.rejects(bench.channel.send(wrong), /power lost/);
    cut.stage = null;
    bench.card.powerOn();
    // Any write of the same process builds on the memory, not on what it remembers.
    await bench.raw("8050000008000000000000000000");
    assert.equal(store.load()!.instances[0]!.recoveryKey!.pinTriesLeft, 2);
    bench.card.close();
  });
});
