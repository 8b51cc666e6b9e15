/** The host's end of the device channel (spec/recover.md, section 2): which APDUs set it up, and what the answers must be. */

import { concat, equal, fromHex, readUint, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { isPublicKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  decodeDeviceCertificate,
  decodeDeviceEphemeral,
  deviceEphemeralBytes,
  deviceStaticBytes,
  encodeSignedKey,
  hostEphemeralBytes,
  requireSignature,
  type SignedKey,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import {
  CLA_RECOVER,
  INS,
  LENGTH,
  P1_CERTIFICATE,
  ROLE,
  ROOT_ID,
} from "shared/protocol/recover/constants.ts";
import type { RecoverDevice } from "shared/protocol/wire/recover.ts";
import "./errors.ts";
import type { Round } from "./session.ts";

const START_HEADER = Uint8Array.of(0, 0, 0, 1);
const STATUS_BYTES = 2;
const TARGET_P1 = 0x02;
const LC_MAX = 255;

/** What the orchestrator is to devices. */
export interface HostIdentity {
  /** Static public key (65), and the root's signature over role `05` and it. */
  readonly certificate: SignedKey;
  /** Keys (65) that may have signed a device's certificate: the issuer, or the issuer of another maker's devices. */
  readonly deviceIssuers: readonly Uint8Array[];
  /** 4 bytes. */
  readonly targetId: Uint8Array;
}

/** An APDU with CLA `E0`. @throws {CodedError} `ORCHESTRATOR_PROVIDER` when what a provider gave does not go into one. */
export function recoverApdu(ins: number, p1 = 0, p2 = 0, data: Uint8Array = new Uint8Array(0)): string {
  if (data.length > LC_MAX) {
    throw new CodedError(
      "ORCHESTRATOR_PROVIDER",
      `Cannot tell the device: ${data.length} bytes for one command`,
    );
  }
  return toHex(concat(Uint8Array.of(CLA_RECOVER, ins, p1, p2, data.length), data));
}

/**
 * Data of the answers to a batch.
 * @throws {CodedError} `ORCHESTRATOR_DEVICE_REFUSED` at the first that is not 9000; `ORCHESTRATOR_DEVICE` when some are missing.
 */
export function answersOf(answers: readonly string[], count: number): Uint8Array[] {
  const data = answers.map((answer, i) => {
    const bytes = fromHex(answer);
    const status = readUint(bytes.subarray(bytes.length - STATUS_BYTES));
    if (status !== SW.OK) {
      throw new CodedError(
        "ORCHESTRATOR_DEVICE_REFUSED",
        `Cannot go on: the device answered command ${i + 1} with ${status.toString(16).padStart(4, "0")}`,
        { statusWord: status },
      );
    }
    return bytes.slice(0, bytes.length - STATUS_BYTES);
  });
  if (data.length !== count) throw wrong(`there are ${data.length} answers to ${count} commands`);
  return data;
}

/** What a device answered that it should not have. */
export function wrong(why: string): CodedError {
  return new CodedError("ORCHESTRATOR_DEVICE", `Cannot use the device's answers: ${why}`);
}

/** Whether an answer that has to be empty is. */
export function requireEmpty(...answers: Uint8Array[]): void {
  if (answers.some(({ length }) => length !== 0)) throw wrong("one that is empty by the protocol has data");
}

/** Selects the device's application and starts a session. */
export function greetingApdus(round: Round, host: HostIdentity): string[] {
  return [
    recoverApdu(INS.TARGET, TARGET_P1, 0, host.targetId),
    recoverApdu(INS.START, 0, 0, fromHex(round.hostNonce)),
  ];
}

/** Reads the device's nonce (8). */
export function readGreeting(answers: readonly string[]): Uint8Array {
  const [selected, started] = answersOf(answers, 2);
  requireEmpty(selected!);
  if (
    started!.length !== START_HEADER.length + LENGTH.NONCE || !equal(started!.subarray(0, 4), START_HEADER)
  ) {
    throw wrong("the session did not start");
  }
  return started!.slice(START_HEADER.length);
}

/** What the orchestrator's static key signs for this round. */
export function ephemeralBytes({ hostNonce, deviceNonce, ephemeralKey }: Round): Uint8Array {
  using key = new Secret(fromHex(ephemeralKey));
  return hostEphemeralBytes(
    ROLE.ORCHESTRATOR_EPHEMERAL,
    fromHex(hostNonce),
    fromHex(deviceNonce!),
    publicKeyOf(key),
  );
}

/** Shows the orchestrator's certificates and asks for the device's. */
export function introductionApdus(round: Round, host: HostIdentity): string[] {
  using key = new Secret(fromHex(round.ephemeralKey));
  const ephemeral = encodeSignedKey({ publicKey: publicKeyOf(key), signature: fromHex(round.signature!) });
  const { STATIC, EPHEMERAL } = P1_CERTIFICATE;
  return [
    recoverApdu(INS.HOST_CERTIFICATE, STATIC, ROOT_ID.ENROLLED, encodeSignedKey(host.certificate)),
    recoverApdu(INS.HOST_CERTIFICATE, EPHEMERAL, ROOT_ID.ENROLLED, ephemeral),
    recoverApdu(INS.DEVICE_CERTIFICATE, STATIC),
    recoverApdu(INS.DEVICE_CERTIFICATE, EPHEMERAL),
    recoverApdu(INS.DONE),
  ];
}

/** Checks the device's certificates. @throws {CodedError} `ORCHESTRATOR_DEVICE`, `ORCHESTRATOR_DEVICE_UNKNOWN`. */
export function readIntroduction(
  round: Round,
  host: HostIdentity,
  answers: readonly string[],
): RecoverDevice {
  const [hostStatic, hostEphemeral, sealedStatic, answered, done] = answersOf(answers, 5);
  requireEmpty(hostStatic!, hostEphemeral!, done!);
  const { certificate, ephemeral, signature } = asDevice("its certificates do not open", () => {
    const { ephemeral, sealedSignature } = decodeDeviceEphemeral(answered!);
    if (!isPublicKey(ephemeral)) throw wrong("its ephemeral key is no point");
    using channel = agree(round.ephemeralKey, ephemeral);
    return {
      certificate: channel.open(sealedStatic!),
      ephemeral,
      signature: channel.open(sealedSignature),
    };
  });
  const { header, publicKey, signature: issued } = asDevice(
    "its certificate is malformed",
    () => decodeDeviceCertificate(certificate),
  );
  const known = host.deviceIssuers.some((issuer) =>
    isSigned(issuer, deviceStaticBytes(header, publicKey), issued)
  );
  if (!known) {
    throw new CodedError(
      "ORCHESTRATOR_DEVICE_UNKNOWN",
      "Cannot accept device: no known issuer signed its certificate",
    );
  }
  const bytes = deviceEphemeralBytes(fromHex(round.deviceNonce!), fromHex(round.hostNonce), ephemeral);
  if (!isSigned(publicKey, bytes, signature)) throw wrong("its ephemeral key is not signed for this session");
  return {
    certificate: toHex(certificate),
    hostNonce: round.hostNonce,
    deviceNonce: round.deviceNonce!,
    ephemeralKey: toHex(ephemeral),
    ephemeralSignature: toHex(signature),
  };
}

/** The channel of a round whose device has introduced itself. The caller ends it. */
export function channelOf({ ephemeralKey, device }: Round): RecoverChannel {
  return agree(ephemeralKey, fromHex(device!.ephemeralKey));
}

function agree(ephemeralKey: string, peer: Uint8Array): RecoverChannel {
  using key = new Secret(fromHex(ephemeralKey));
  return RecoverChannel.agree(key, peer);
}

function isSigned(signer: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    requireSignature(signer, message, signature, "certificate");
    return true;
  } catch {
    return false;
  }
}

/** Every fault of the protocol in a device's answer looks the same to the companion. */
export function asDevice<T>(why: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith("ORCHESTRATOR_")) throw error;
    throw new CodedError("ORCHESTRATOR_DEVICE", `Cannot use the device's answers: ${why}`, {}, error);
  }
}
