/**
 * `rk bench update`: what an update costs over and above the bare LOAD of the same package. Both go to virtual cards that take the
 * same time for each APDU; service and vault are in this process, so that no network is measured.
 */

import { openInProcessChannel } from "device/card/in_process_channel.ts";
import { VirtualCard } from "device/card/virtual_card.ts";
import { PUBLISHED_TEST_KEYS } from "device/card/options.ts";
import { packageReader } from "device/update/package_reader.ts";
import { fromHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { transceive } from "shared/protocol/apdu/transceive.ts";
import { selectDefaultCommand } from "shared/protocol/gp/select.ts";
import { upgradeCommands } from "shared/protocol/gp/upgrade_commands.ts";
import { SecureChannel, type Transmit } from "shared/protocol/scp03/secure_channel.ts";
import type { CardChannel } from "shared/transport/card_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { openScene } from "tests/updater/machinery/scene.ts";
import { rounded } from "./statistics.ts";

/** APDUs, bytes both ways and wall time. */
export interface UpdateCost {
  readonly apdus: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** The result; the first four names are those of the commands that measure. */
export interface UpdateBench {
  /** APDUs, bytes and seconds of the update over and above those of the load. */
  readonly apdus: number;
  readonly bytes: number;
  readonly overheadSeconds: number;
  /** Overhead in seconds by the load's seconds. */
  readonly overheadRatio: number;
  readonly update: UpdateCost;
  /** INSTALL [for load] and every LOAD, in a session with C-MAC, nothing else. */
  readonly load: UpdateCost;
  readonly loadBlocks: number;
  readonly apduDelayMs: number;
  readonly packageBytes: number;
}

/** What to measure. */
export interface UpdateBenchOptions {
  /** Time that a card takes for each APDU. */
  readonly apduDelayMs: number;
  /** Size of the package's code. */
  readonly packageBytes: number;
}

/** Measures. */
export async function benchUpdate({ apduDelayMs, packageBytes }: UpdateBenchOptions): Promise<UpdateBench> {
  await using scene = await openScene();
  const file = await scene.package({ major: 1, minor: 2 }, packageBytes);
  scene.repository.publish(file, { replaces: ["1.0"] });
  const slow = (channel: CardChannel): CardChannel => ({
    atr: channel.atr,
    async transmit(command) {
      await new Promise((resolve) => setTimeout(resolve, apduDelayMs));
      return await channel.transmit(command);
    },
    reset: () => channel.reset(),
    close: () => channel.close(),
  });
  const card = await scene.card();
  const begun = performance.now();
  const { apdus, bytes } = await scene.update({ card, intercept: slow });
  const update = { apdus, bytes, seconds: (performance.now() - begun) / 1000 };
  const { load: commands } = upgradeCommands(packageReader(scene.vaultOptions.releaseKey)(file));
  const load = await bareLoad(commands, slow);
  const overheadSeconds = update.seconds - load.seconds;
  const whole = (cost: UpdateCost) => ({ ...cost, seconds: rounded(cost.seconds, 3) });
  return {
    apdus: update.apdus - load.apdus,
    bytes: update.bytes - load.bytes,
    overheadSeconds: rounded(overheadSeconds, 3),
    overheadRatio: rounded(overheadSeconds / load.seconds, 3),
    update: whole(update),
    load: whole(load),
    loadBlocks: commands.length - 1,
    apduDelayMs,
    packageBytes,
  };
}

/** The same commands to a blank card, in an open session with C-MAC; opening it is not counted. */
async function bareLoad(
  commands: ReturnType<typeof upgradeCommands>["load"],
  slow: (channel: CardChannel) => CardChannel,
): Promise<UpdateCost> {
  const channel = slow(openInProcessChannel(await VirtualCard.open({})));
  const count = { apdus: 0, bytes: 0 };
  const transmit: Transmit = (command) =>
    transceive(async (bytes) => {
      const answer = await channel.transmit(bytes);
      count.apdus++;
      count.bytes += bytes.length + answer.length;
      return answer;
    }, command);
  await transmit(selectDefaultCommand());
  const key = () => new Secret(fromHex(PUBLISHED_TEST_KEYS.enc));
  const secure = await SecureChannel.open({
    transmit,
    keyVersion: 0,
    keys: { enc: key(), mac: key(), dek: key() },
    level: 0x01,
    random: SYSTEM_RANDOM,
  });
  Object.assign(count, { apdus: 0, bytes: 0 });
  const begun = performance.now();
  for (const command of commands) {
    const { sw } = await secure.send(command);
    if (sw !== 0x9000) {
      throw new CodedError("BENCH_UPDATE", `Cannot measure the load: the card answers ${sw.toString(16)}`);
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  await channel.close();
  return { ...count, seconds };
}

defineErrors({
  BENCH_UPDATE: { fault: "bug", retry: false, next: "Report it with the line above." },
});
