/** The sealed commands D4 to DB (spec/recover.md, section 2), by phase, and what the device's answers to them must be. */

import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import type { RecoverChannel } from "shared/protocol/recover/channel.ts";
import {
  COMMAND,
  INS,
  LENGTH,
  P1_CERTIFICATE,
  P1_GET_SHARE,
  P1_VALIDATE,
  WORDS,
} from "shared/protocol/recover/constants.ts";
import { isAuxiliaryPoint } from "shared/protocol/recover/sharing.ts";
import type { DepositAnswer, OpenSessionAnswer, ReleaseAnswer } from "shared/protocol/wire/recover.ts";
import { answersOf, asDevice, recoverApdu, requireEmpty, wrong } from "./device_channel.ts";

/** Words of the longest seed: told as zero in DA. */
const WORDS_LONGEST = Math.max(...WORDS.keys());
const SEALED_SHARE = 213;
const SEALED_CONFIRMATION = 31;

type Seal = (...parts: (Uint8Array | number)[]) => string;

function sealer(channel: RecoverChannel): Seal {
  return (...parts) => {
    const inner = concat(...parts.map((part) => typeof part === "number" ? Uint8Array.of(part) : part));
    return recoverApdu(INS.SEALED, 0, 0, channel.seal(inner));
  };
}

/** len || bytes. */
function field(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  return concat(Uint8Array.of(bytes.length), bytes);
}

/** A provider's channel and what binds it: D5/00, D5/80, D6, D4 for the first provider, D7. */
export function bindingApdus(channel: RecoverChannel, opened: OpenSessionAnswer): string[] {
  const seal = sealer(channel);
  const { PROVIDER_CERTIFICATE: certificate } = COMMAND;
  return [
    seal(certificate, P1_CERTIFICATE.STATIC, fromHex(opened.staticCertificate)),
    seal(certificate, P1_CERTIFICATE.EPHEMERAL, fromHex(opened.ephemeralCertificate)),
    seal(COMMAND.MUTUAL_AUTHENTICATION),
    ...(opened.sealedIdentity === null ? [] : [seal(COMMAND.CONFIRM_IDENTITY, field(opened.sealedIdentity))]),
    seal(COMMAND.VALIDATE_HASH, field(opened.sealedHash)),
  ];
}

/** Reads the answers to {@link bindingApdus}. @returns in a restore what D7 answered, sealed to the provider (31); else empty. */
export function readBinding(
  channel: RecoverChannel,
  opened: OpenSessionAnswer,
  answers: readonly string[],
  confirms: boolean,
): Uint8Array {
  const data = answersOf(answers, opened.sealedIdentity === null ? 4 : 5);
  const last = data.pop()!;
  requireEmpty(...data);
  if (!confirms) {
    requireEmpty(last);
    return last;
  }
  const confirmation = asDevice("the confirmation does not open", () => channel.open(last));
  if (confirmation.length !== SEALED_CONFIRMATION) throw wrong("the confirmation has another length");
  return confirmation;
}

/** A provider's channel, then its share and what proves it: D8/00, D8/01, D8/10. */
export function sharingApdus(channel: RecoverChannel, opened: OpenSessionAnswer): string[] {
  const seal = sealer(channel);
  const { SHARE, COMMITMENTS, AUXILIARY_POINT } = P1_GET_SHARE;
  return [
    ...bindingApdus(channel, opened),
    ...[SHARE, COMMITMENTS, AUXILIARY_POINT].map((p1) => seal(COMMAND.GET_SHARE, p1)),
  ];
}

/** What a device gives to one provider. */
export interface DeviceShare {
  /** 213 bytes that only the provider's vault opens. */
  readonly sealedShare: string;
  readonly words: 12 | 18 | 24;
  /** 192 bytes. */
  readonly commitments: string;
}

/** Reads the answers to {@link sharingApdus}. @throws {CodedError} `ORCHESTRATOR_DEVICE`, also for another auxiliary point. */
export function readSharing(
  channel: RecoverChannel,
  opened: OpenSessionAnswer,
  answers: readonly string[],
): DeviceShare {
  const binding = opened.sealedIdentity === null ? 4 : 5;
  const data = answersOf(answers, binding + 3);
  requireEmpty(...data.slice(0, binding));
  const [share, commitments, auxiliary] = asDevice(
    "they were not sealed in this session",
    () => data.slice(binding).map((sealed) => channel.open(sealed)),
  );
  // The public scripts do not look: whoever knows the logarithm of another point opens commitments at will.
  if (!isAuxiliaryPoint(auxiliary!)) throw wrong("it uses another auxiliary point");
  const words = share![SEALED_SHARE];
  if (share!.length !== SEALED_SHARE + 1 || (words !== 12 && words !== 18 && words !== 24)) {
    throw wrong("the sealed share has another length, or there is no such number of words");
  }
  if (commitments!.length !== LENGTH.COMMITMENTS) throw wrong("the commitments have another length");
  return { sealedShare: toHex(share!.slice(0, SEALED_SHARE)), words, commitments: toHex(commitments!) };
}

/** The provider's proof that it has the share: D9/04, D9/03. */
export function provingApdus(channel: RecoverChannel, deposited: DepositAnswer): string[] {
  const seal = sealer(channel);
  const { SHARE_COMMITMENT, HASH } = P1_VALIDATE;
  return [
    seal(COMMAND.VALIDATE_COMMITMENTS, SHARE_COMMITMENT, field(deposited.shareCommitment)),
    seal(COMMAND.VALIDATE_COMMITMENTS, HASH, field(deposited.sealedValues)),
  ];
}

/** A share back to the device: D9/02, D9/04, D9/03, DA. */
export function restoringApdus(channel: RecoverChannel, released: ReleaseAnswer): string[] {
  const seal = sealer(channel);
  const words = released.words === WORDS_LONGEST ? 0 : released.words;
  return [
    seal(COMMAND.VALIDATE_COMMITMENTS, P1_VALIDATE.COMMITMENTS, field(released.commitments)),
    ...provingApdus(channel, released),
    seal(COMMAND.RESTORE, words, field(released.sealedShare)),
  ];
}

/** Reads answers that are empty when all is well. */
export function readEmpty(answers: readonly string[], count: number): void {
  requireEmpty(...answersOf(answers, count));
}

/** The provider's nonce for the deletion key: DB. */
export function signingApdus(channel: RecoverChannel, sealedNonce: string): string[] {
  return [sealer(channel)(COMMAND.DELETE, field(sealedNonce))];
}

/** Reads the signature, sealed to the provider. */
export function readSigning(channel: RecoverChannel, answers: readonly string[]): string {
  const [answer] = answersOf(answers, 1);
  return toHex(asDevice("the signature does not open", () => channel.open(answer!)));
}
