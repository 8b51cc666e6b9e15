/** A personalized card with an upgrade domain, and a host that upgrades it from whatever it left. For tests. */

import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex } from "shared/base/bytes.ts";
import { type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { installForLoad } from "shared/protocol/gp/install.ts";
import { type DapBlock, loadBlocks } from "shared/protocol/gp/load.ts";
import {
  parseUpgradeAnswer,
  recoverUpgrade,
  resumeUpgrade,
  startUpgrade,
  upgradeStatus,
  type UpgradeStatusName,
} from "shared/protocol/gp/manage_elf_upgrade.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import { requestUpgradeCommand, verifyPinCommand } from "shared/protocol/recovery_key/commands.ts";
import { mutualAuthenticate } from "shared/protocol/recovery_key/mutual_authentication.ts";
import { SecureChannel } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import {
  DOMAIN_PERSONALIZED,
  RECOVERY_KEY_MODULE_AID,
  RECOVERY_KEY_PACKAGE_AID,
  UPGRADE_DOMAIN_AID,
  UPGRADE_DOMAIN_PRIVILEGES,
} from "../constants.ts";
import type { FaultPlan } from "../fault_plan.ts";
import { Presentation } from "../presentation.ts";
import type { CardState } from "../state.ts";
import type { CardStore } from "../store.ts";
import { BROKEN_MINOR } from "../upgrade/phases.ts";
import { VirtualCard } from "../virtual_card.ts";
import { appletIn, HOST, issuerPublicKey, iv, PIN, storeWith } from "./applet_bench.ts";
import { keySet, testKeys } from "./bench.ts";

/** Static keys of the upgrade domain of these cards. */
export const UPGRADE_KEYS_HEX = "7E".repeat(32);
/** Bytes of load file in one block: few, so that a package has several. */
const BLOCK_BYTES = 220;

/** A load file data block of the Recovery Key at a version. */
export function packageOf(version: { major: number; minor: number }, payloadBytes = 500): Uint8Array {
  return readCap(writeTestCap({ version, payloadBytes })).loadFileDataBlock;
}

/** The packages that most tests need. */
export const PACKAGES: {
  readonly old: Uint8Array;
  readonly next: Uint8Array;
  readonly broken: Uint8Array;
} = {
  old: packageOf({ major: 1, minor: 0 }),
  next: packageOf({ major: 1, minor: 1 }),
  broken: packageOf({ major: 1, minor: BROKEN_MINOR }),
};

/** Memory of a card at version 1.0, loaded from `PACKAGES.old`, with an upgrade domain. */
export async function upgradableState(
  life: "0" | "1" | "2" | "3" = "3",
  change: (state: CardState) => CardState = (state) => state,
): Promise<CardState> {
  const transient = { "0": "0/0", "1": "1/0", "2": "2/1", "3": "3/2" } as const;
  let stored: CardState | undefined;
  const bench = await appletIn(transient[life], (state) => {
    stored = state;
    return storeWith(state);
  });
  bench.card.close();
  const state = stored!;
  const isd = state.domains[0]!;
  const key = fromHex(UPGRADE_KEYS_HEX);
  return change({
    ...state,
    domains: [...state.domains, {
      ...isd,
      aid: UPGRADE_DOMAIN_AID,
      lifeCycle: DOMAIN_PERSONALIZED,
      privileges: UPGRADE_DOMAIN_PRIVILEGES,
      keySets: [{
        version: 0x40,
        enc: key,
        mac: key,
        dek: key,
        sequenceCounter: 0,
        failedAuthentications: 0,
      }],
    }],
    packages: state.packages.map((one) => ({
      ...one,
      size: PACKAGES.old.length,
      sha256: sha256(PACKAGES.old),
    })),
    instances: state.instances.map((one) => ({
      ...one,
      recoveryKey: one.recoveryKey === null ? null : {
        ...one.recoveryKey,
        name: life === "3" ? fromHex("416C696365") : null,
        pinTriesLeft: 3,
      },
    })),
  });
}

/** The card is gone from the reader. */
export class Removed extends Error {}

/** What a host does with the card. */
export interface UpgradeHost {
  readonly card: VirtualCard;
  readonly store: CardStore;
  readonly presentation: Presentation;
  transmit(c: CommandApdu): Promise<ResponseApdu>;
  /** Mutual authentication, VERIFY PIN, REQUEST UPGRADE. */
  authorize(): Promise<void>;
  /** Selects the upgrade domain, or another one, and opens a channel with C-MAC. */
  domain(aid?: Uint8Array): Promise<SecureChannel>;
}

/** Puts a card on a reader. */
export async function upgradeHost(store: CardStore, faultPlan: FaultPlan = []): Promise<UpgradeHost> {
  const card = await VirtualCard.open({ store });
  card.powerOn();
  const presentation = new Presentation(card, { faultPlan });
  const transmit = async (c: CommandApdu) => {
    const presented = await presentation.transmit(encodeCommand(c));
    if (presented.kind === "removed") throw new Removed();
    return decodeResponse(presented.answer);
  };
  const select = async (aid: Uint8Array) => {
    const { sw } = await transmit(selectCommand(aid));
    if (sw !== 0x9000) throw new Error(`SELECT ${formatStatus(sw)}`);
  };
  return {
    card,
    store,
    presentation,
    transmit,
    async authorize() {
      await select(RECOVERY_KEY_MODULE_AID);
      const channel = await SecureChannel.open({
        transmit,
        keyVersion: 0,
        keys: testKeys(),
        level: 0x33,
        random: SYSTEM_RANDOM,
        wireCla: 0x08,
      });
      const { capsuleKeys } = await mutualAuthenticate({
        send: (c: CommandApdu) => channel.send(c),
        issuerPublicKey,
        host: HOST,
        random: SYSTEM_RANDOM,
        strict: true,
      });
      assert.equal((await channel.send(verifyPinCommand(capsuleKeys, PIN, iv()))).sw, 0x9000);
      assert.equal((await channel.send(requestUpgradeCommand(capsuleKeys, PIN, iv()))).sw, 0x9000);
    },
    async domain(aid = UPGRADE_DOMAIN_AID) {
      await select(aid);
      const keys = aid === UPGRADE_DOMAIN_AID ? keySet(UPGRADE_KEYS_HEX) : testKeys();
      return await SecureChannel.open({ transmit, keyVersion: 0, keys, level: 0x01, random: SYSTEM_RANDOM });
    },
  };
}

/** Status of the session. */
export async function statusOfUpgrade(channel: SecureChannel): Promise<UpgradeStatusName> {
  const { sw, data } = await channel.send(upgradeStatus());
  assert.equal(formatStatus(sw), "9000");
  return parseUpgradeAnswer(data).status;
}

/** INSTALL [for load] and LOAD; the status word of the step that was refused, or of the last one. */
export async function loadInUpgrade(
  channel: SecureChannel,
  content: Uint8Array,
  more: { readonly dap?: readonly DapBlock[]; readonly domain?: Uint8Array } = {},
): Promise<string> {
  let { sw } = await channel.send(installForLoad({
    packageAid: RECOVERY_KEY_PACKAGE_AID,
    hash: sha256(content),
    ...(more.domain === undefined ? {} : { securityDomainAid: more.domain }),
  }));
  if (sw !== 0x9000) return formatStatus(sw);
  for (const block of loadBlocks(content, BLOCK_BYTES, more.dap ?? [])) {
    ({ sw } = await channel.send(block));
    if (sw !== 0x9000) break;
  }
  return formatStatus(sw);
}

/** A host that knows nothing but the card: asks for the status and does what it says until the package is there. */
export async function upgradeTo(host: UpgradeHost, content: Uint8Array, old = PACKAGES.old): Promise<void> {
  let channel = await host.domain();
  let wanted = content;
  for (let step = 0; step < 12; step++) {
    const status = await statusOfUpgrade(channel);
    const installed = host.store.load()!.packages.some((one) => equalBytes(one.sha256, sha256(wanted)));
    if ((status === "completed" || status === "none") && installed) return;
    switch (status) {
      case "none":
      case "completed": {
        if (host.store.load()!.instances[0]!.recoveryKey!.lifeCycle === 3) await host.authorize();
        channel = await host.domain();
        await expectOk(channel.send(startUpgrade(RECOVERY_KEY_PACKAGE_AID)));
        break;
      }
      case "waiting-for-elf":
        wanted = await loadWhatFits(channel, [wanted, content, old]);
        break;
      case "restore-failed":
        await expectOk(channel.send(recoverUpgrade()));
        wanted = old;
        break;
      default:
        await expectOk(channel.send(resumeUpgrade()));
    }
  }
  throw new Error("the upgrade does not come to an end");
}

/**
 * Loads the first package that the card takes. Which one is the old one of a session depends on what was on the card when somebody
 * began it; it is taken after a recovery only.
 */
async function loadWhatFits(channel: SecureChannel, packages: readonly Uint8Array[]): Promise<Uint8Array> {
  for (const isRecovery of [false, true]) {
    if (isRecovery) await expectOk(channel.send(recoverUpgrade()));
    for (const content of packages) {
      if (await loadInUpgrade(channel, content) === "9000") return content;
    }
  }
  throw new Error("the card takes none of the packages");
}

async function expectOk(answer: Promise<ResponseApdu>): Promise<void> {
  assert.equal(formatStatus((await answer).sw), "9000");
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** What an upgrade must not change: every application without its version. */
export function keptOf(state: CardState): unknown {
  return state.instances.map(({ recoveryKey, ...entry }) => {
    if (recoveryKey === null) return entry;
    const { version: _version, ...kept } = recoveryKey;
    return { ...entry, ...kept };
  });
}
