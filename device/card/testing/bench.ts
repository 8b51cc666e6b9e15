/** A virtual card with hands: plain commands, channels, and the steps that most tests begin with. For tests. */

import assert from "node:assert/strict";
import { fromHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { type CommandApdu, encodeCommand } from "shared/protocol/apdu/command.ts";
import { decodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { installForInstall, installForLoad } from "shared/protocol/gp/install.ts";
import { type DapBlock, loadBlocks } from "shared/protocol/gp/load.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import type { SecurityLevel } from "shared/protocol/scp03/constants.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { SecureChannel, type SecureChannelOptions } from "shared/protocol/scp03/secure_channel.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { ISD_AID, SSD_MODULE_AID, SSD_PACKAGE_AID } from "../constants.ts";
import { type OpenCardOptions, VirtualCard } from "../virtual_card.ts";

/** Three equal keys. */
export function keySet(hex: string): StaticKeys {
  const key = () => new Secret(fromHex(hex));
  return { enc: key(), mac: key(), dek: key() };
}

/** The published test keys. */
export const testKeys = (): StaticKeys => keySet("404142434445464748494A4B4C4D4E4F");

/** A powered card and what one does with it. */
export interface CardBench {
  readonly card: VirtualCard;
  /** One plain command. */
  transmit(c: CommandApdu): Promise<ResponseApdu>;
  /** One command in hex; the answer in hex. */
  raw(hex: string): Promise<string>;
  /** Selects; fails unless 9000. */
  select(aid: Uint8Array): Promise<void>;
  /** Opens a channel to what is selected. */
  open(
    keys?: StaticKeys,
    level?: SecurityLevel,
    more?: Partial<SecureChannelOptions>,
  ): Promise<SecureChannel>;
  /** Selects the ISD and opens a channel with the test keys. */
  issuer(level?: SecurityLevel): Promise<SecureChannel>;
}

/** Opens a card and powers it on. */
export async function cardBench(options: OpenCardOptions = {}): Promise<CardBench> {
  const card = await VirtualCard.open(options);
  card.powerOn();
  const transmit = async (c: CommandApdu) => decodeResponse(await card.process(encodeCommand(c)));
  const open: CardBench["open"] = (keys = testKeys(), level = 0x33, more = {}) =>
    SecureChannel.open({ transmit, keyVersion: 0, keys, level, random: SYSTEM_RANDOM, ...more });
  const select = async (aid: Uint8Array) =>
    assert.equal(formatStatus((await transmit(selectCommand(aid))).sw), "9000");
  return {
    card,
    transmit,
    async raw(hex) {
      const answer = await card.process(fromHex(hex));
      return [...answer].map((byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase();
    },
    select,
    open,
    async issuer(level) {
      await select(ISD_AID);
      return await open(testKeys(), level);
    },
  };
}

/** The data of an answer that must be 9000. */
export async function ok(answer: Promise<ResponseApdu>): Promise<Uint8Array> {
  const { sw, data } = await answer;
  assert.equal(formatStatus(sw), "9000");
  return data;
}

/** The status word of an answer, in hex. */
export async function statusOf(answer: Promise<ResponseApdu>): Promise<string> {
  return formatStatus((await answer).sw);
}

/** INSTALL of a security domain. */
export function installDomain(aid: Uint8Array, privileges: number = 0x800000): CommandApdu {
  return installForInstall({
    packageAid: SSD_PACKAGE_AID,
    moduleAid: SSD_MODULE_AID,
    instanceAid: aid,
    privileges,
  });
}

/** How a package is loaded. */
export interface LoadOptions {
  readonly hash?: Uint8Array;
  readonly dap?: readonly DapBlock[];
  readonly domain?: Uint8Array;
  /** Load file data block in place of the CAP's. */
  readonly content?: Uint8Array;
}

/** Loads a CAP; the status word of the step that was refused, or of the last block. */
export async function loadCap(
  channel: SecureChannel,
  cap: Uint8Array,
  options: LoadOptions = {},
): Promise<string> {
  const { packageAid, loadFileDataBlock } = readCap(cap);
  const announced = await statusOf(channel.send(installForLoad({
    packageAid,
    ...(options.hash === undefined ? {} : { hash: options.hash }),
    ...(options.domain === undefined ? {} : { securityDomainAid: options.domain }),
  })));
  if (announced !== "9000") return announced;
  let last = announced;
  for (const block of loadBlocks(options.content ?? loadFileDataBlock, 223, options.dap ?? [])) {
    last = await statusOf(channel.send(block));
    if (last !== "9000") return last;
  }
  return last;
}
