/**
 * The commands that this wallet lets pass from the service to the card: those of the package that it verified itself, and nothing
 * else. They come without encryption, so each is compared byte for byte; only the MACs are the service's.
 */

import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { type CommandApdu, decodeCommand, encodeCommand } from "shared/protocol/apdu/command.ts";
import { selectCommand } from "shared/protocol/gp/select.ts";
import type { UpgradeCommands } from "shared/protocol/gp/upgrade_commands.ts";
import { startHandshake } from "shared/protocol/scp03/host_session.ts";
import { INS_EXTERNAL_AUTHENTICATE } from "shared/protocol/scp03/constants.ts";
import "./errors.ts";

const MAC_LENGTH = 8;
const CRYPTOGRAM_LENGTH = 8;
const CLA_SECURE = 0x84;
const LEVEL_C_MAC = 0x01;
const CHALLENGE_LENGTH = 8;

/** What may pass. */
export interface Allowance {
  readonly commands: UpgradeCommands;
  /** The domain that may upgrade, and the version of its keys. */
  readonly domain: { readonly aid: Uint8Array; readonly keyVersion: number };
  /** The holder gave the PIN for this upgrade: one may begin. */
  readonly mayStart: boolean;
  /** The old package is loaded again. */
  readonly mayRecover: boolean;
}

/**
 * Checks the commands of a step.
 * @returns them, decoded, in order.
 * @throws {CodedError} `WALLET_UPDATE_COMMAND` naming the first that is not allowed.
 */
export function requireAllowed(
  { commands, domain, mayStart, mayRecover }: Allowance,
  step: number,
  batch: readonly string[],
): CommandApdu[] {
  const { start, resume, recover, status, load } = commands;
  const plain = [status, resume, ...load, ...(mayStart ? [start] : []), ...(mayRecover ? [recover] : [])];
  return batch.map((text, position) => {
    const apdu = decodeCommand(fromHex(text));
    const allowed = step === 0
      ? position === 0 ? isSelect(apdu, domain.aid) : position === 1 && isInitialize(apdu, domain.keyVersion)
      : step === 1 && position === 0
      ? isAuthenticate(apdu)
      : plain.some((one) => isWrapped(apdu, one));
    if (allowed) return apdu;
    throw new CodedError(
      "WALLET_UPDATE_COMMAND",
      `Cannot pass command to card: ${
        toHex(fromHex(text).subarray(0, 4))
      } of step ${step} is not of this update`,
      { step, position },
    );
  });
}

function isSelect(apdu: CommandApdu, aid: Uint8Array): boolean {
  return equal(encodeCommand(apdu), encodeCommand(selectCommand(aid)));
}

function isInitialize(apdu: CommandApdu, keyVersion: number): boolean {
  const hostChallenge = apdu.data;
  return hostChallenge.length === CHALLENGE_LENGTH &&
    equal(encodeCommand(apdu), encodeCommand(startHandshake({ keyVersion, hostChallenge }).command));
}

function isAuthenticate({ cla, ins, p1, p2, data, le }: CommandApdu): boolean {
  return cla === CLA_SECURE && ins === INS_EXTERNAL_AUTHENTICATE && p1 === LEVEL_C_MAC && p2 === 0 &&
    data.length === CRYPTOGRAM_LENGTH + MAC_LENGTH && le === undefined;
}

/** The same command with a C-MAC behind its data, in the clear. */
function isWrapped(apdu: CommandApdu, plain: CommandApdu): boolean {
  return apdu.cla === CLA_SECURE && apdu.ins === plain.ins && apdu.p1 === plain.p1 && apdu.p2 === plain.p2 &&
    apdu.le === plain.le && apdu.data.length === plain.data.length + MAC_LENGTH &&
    equal(apdu.data.subarray(0, plain.data.length), plain.data);
}
