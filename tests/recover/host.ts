/** A small orchestrator for tests: opens the device's channel and carries APDUs. It has no state machine and no database. */

import assert from "node:assert/strict";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import {
  decodeDeviceCertificate,
  decodeDeviceEphemeral,
  encodeSignedKey,
  hostEphemeralBytes,
  hostStaticBytes,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import { COMMAND, P1_GET_SHARE, P1_VALIDATE, ROLE } from "shared/protocol/recover/constants.ts";
import type {
  DeleteAnswer,
  DepositAnswer,
  DepositRequest,
  OpenSessionAnswer,
  RecoverDevice as WireDevice,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import type { Maker, TestDevice } from "./device.ts";

/** A session with a device. */
export class HostSession {
  readonly #device: TestDevice;
  #channel: RecoverChannel | undefined;
  #wire: WireDevice | undefined;

  private constructor(device: TestDevice) {
    this.#device = device;
  }

  /** Opens the channel as an orchestrator whose certificate the maker's issuer signed. */
  static async open(maker: Maker, device: TestDevice): Promise<HostSession> {
    const session = new HostSession(device);
    const hostKey = generatePrivateKey(SYSTEM_RANDOM);
    const ephemeral = generatePrivateKey(SYSTEM_RANDOM);
    const hostNonce = SYSTEM_RANDOM(8);
    await session.#apdu([0x04, 0x02, 0x00], Uint8Array.of(0x33, 0, 0, 4));
    const started = await session.#apdu([0x50, 0, 0], hostNonce);
    const deviceNonce = started.slice(4);
    const publicKey = publicKeyOf(hostKey);
    const signature = ecdsaSign(maker.issuer, hostStaticBytes(ROLE.ORCHESTRATOR_STATIC, publicKey));
    await session.#apdu([0x51, 0x00, 1], encodeSignedKey({ publicKey, signature }));
    const ephemeralKey = publicKeyOf(ephemeral);
    const bytes = hostEphemeralBytes(ROLE.ORCHESTRATOR_EPHEMERAL, hostNonce, deviceNonce, ephemeralKey);
    await session.#apdu(
      [0x51, 0x80, 1],
      encodeSignedKey({ publicKey: ephemeralKey, signature: ecdsaSign(hostKey, bytes) }),
    );
    const sealedCertificate = await session.#apdu([0x52, 0x00, 0]);
    const device0 = decodeDeviceEphemeral(await session.#apdu([0x52, 0x80, 0]));
    const channel = RecoverChannel.agree(ephemeral, device0.ephemeral);
    session.#channel = channel;
    await session.#apdu([0x53, 0, 0]);
    const certificate = channel.open(sealedCertificate);
    decodeDeviceCertificate(certificate);
    session.#wire = {
      certificate: toHex(certificate),
      hostNonce: toHex(hostNonce),
      deviceNonce: toHex(deviceNonce),
      ephemeralKey: toHex(device0.ephemeral),
      ephemeralSignature: toHex(channel.open(device0.sealedSignature)),
    };
    return session;
  }

  /** The device as providers are told. */
  get wire(): WireDevice {
    return this.#wire!;
  }

  async #apdu(
    [ins, p1, p2]: readonly [number, number, number],
    data: Uint8Array = new Uint8Array(),
  ): Promise<Uint8Array> {
    const answer = await this.#device.device.process(
      concat(Uint8Array.of(0xe0, ins, p1, p2, data.length), data),
    );
    assert.equal(toHex(answer.slice(-2)), "9000", `APDU E0 ${ins.toString(16)} ${p1.toString(16)}`);
    return answer.slice(0, -2);
  }

  /** One sealed command. */
  async #command(...parts: (number | Uint8Array)[]): Promise<Uint8Array> {
    const clear = concat(...parts.map((part) => typeof part === "number" ? Uint8Array.of(part) : part));
    const answer = await this.#apdu([0, 0, 0], this.#channel!.seal(clear));
    return answer.length === 0 ? answer : this.#channel!.open(answer);
  }

  /** D5, D6, D4, D7. Returns what D7 answered, sealed under the provider's key; empty but in a restore. */
  async introduce(answer: OpenSessionAnswer): Promise<string> {
    await this.#command(COMMAND.PROVIDER_CERTIFICATE, 0x00, fromHex(answer.staticCertificate));
    await this.#command(COMMAND.PROVIDER_CERTIFICATE, 0x80, fromHex(answer.ephemeralCertificate));
    await this.#command(COMMAND.MUTUAL_AUTHENTICATION);
    if (answer.sealedIdentity !== null) {
      await this.#command(COMMAND.CONFIRM_IDENTITY, prefixed(answer.sealedIdentity));
    }
    return toHex(await this.#command(COMMAND.VALIDATE_HASH, prefixed(answer.sealedHash)));
  }

  /** D8: a share for the provider that was introduced. */
  async share(sealedVerification: string | null = null): Promise<DepositRequest> {
    const share = await this.#command(COMMAND.GET_SHARE, P1_GET_SHARE.SHARE);
    return {
      sealedShare: toHex(share.slice(0, -1)),
      words: share.at(-1) as 12 | 18 | 24,
      commitments: toHex(await this.#command(COMMAND.GET_SHARE, P1_GET_SHARE.COMMITMENTS)),
      auxiliaryPoint: toHex(await this.#command(COMMAND.GET_SHARE, P1_GET_SHARE.AUXILIARY_POINT)),
      sealedVerification,
    };
  }

  /** D9/04 and D9/03 of a backup. */
  async stored(answer: DepositAnswer): Promise<void> {
    await this.#command(
      COMMAND.VALIDATE_COMMITMENTS,
      P1_VALIDATE.SHARE_COMMITMENT,
      prefixed(answer.shareCommitment),
    );
    await this.#command(COMMAND.VALIDATE_COMMITMENTS, P1_VALIDATE.HASH, prefixed(answer.sealedValues));
  }

  /** D9 and DA of a restore. */
  async restore(answer: ReleaseAnswer): Promise<void> {
    await this.#command(COMMAND.VALIDATE_COMMITMENTS, P1_VALIDATE.COMMITMENTS, prefixed(answer.commitments));
    await this.#command(
      COMMAND.VALIDATE_COMMITMENTS,
      P1_VALIDATE.SHARE_COMMITMENT,
      prefixed(answer.shareCommitment),
    );
    await this.#command(COMMAND.VALIDATE_COMMITMENTS, P1_VALIDATE.HASH, prefixed(answer.sealedValues));
    await this.#command(
      COMMAND.RESTORE,
      answer.words === 24 ? 0 : answer.words,
      prefixed(answer.sealedShare),
    );
  }

  /** DB: the signature of a deletion. */
  async sign(answer: DeleteAnswer): Promise<string> {
    return toHex(await this.#command(COMMAND.DELETE, prefixed(answer.sealedNonce)));
  }
}

function prefixed(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  return concat(Uint8Array.of(bytes.length), bytes);
}
