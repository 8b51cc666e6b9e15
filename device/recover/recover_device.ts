/**
 * The device's end of Recover (spec/recover.md): APDUs of a companion in, answers out. One session at a time; a new start
 * ends the one before, and so does every failure of cryptography.
 */

import { concat, equal } from "shared/base/bytes.ts";
import type { Secret } from "shared/base/secret.ts";
import { ecdsaSign, generatePrivateKey, isPublicKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { type CommandApdu, decodeCommand } from "shared/protocol/apdu/command.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  decodeSignedKey,
  deviceEphemeralBytes,
  encodeDeviceCertificate,
  encodeDeviceEphemeral,
  hostEphemeralBytes,
  hostStaticBytes,
  requireSignature,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import {
  CLA_RECOVER,
  COMMAND,
  COMMANDS_WITH_P1,
  LENGTH,
  ROLE,
  ROOT_ID,
} from "shared/protocol/recover/constants.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { eventOf, providerEventOf } from "./device_events.ts";
import type { RecoverIdentity, RecoverMemory, RecoverPerson } from "./ports.ts";
import { ProviderSession, readRoot, SharedFacts } from "./provider_session.ts";
import { DeviceRefusal, statusOf } from "./refusal.ts";
import {
  CHANNEL_FLOW,
  type ChannelEvent,
  type ChannelState,
  PROVIDER_FLOW,
  type ProviderEvent,
  type ProviderState,
} from "./session_flow.ts";

/** Answer of START before the nonce. */
const START_HEADER = Uint8Array.of(0, 0, 0, 1);
const NOTHING = new Uint8Array(0);

/** What a device is made of. */
export interface RecoverDeviceOptions {
  readonly identity: RecoverIdentity;
  readonly memory: RecoverMemory;
  readonly person: RecoverPerson;
  readonly random: RandomSource;
}

/** One session. */
interface Session {
  readonly hostNonce: Uint8Array;
  readonly deviceNonce: Uint8Array;
  readonly ephemeralKey: Secret;
  readonly facts: SharedFacts;
  rootId: number;
  /** Root that signed the host's certificate. */
  root: Uint8Array;
  hostKey: Uint8Array;
  channel: RecoverChannel | undefined;
  provider: ProviderSession | undefined;
  providerState: ProviderState;
  /** Which way the present provider went from `bound`. */
  direction: "backup" | "restore" | undefined;
}

/** The device. */
export class RecoverDevice {
  readonly #options: RecoverDeviceOptions;
  #state: ChannelState = "closed";
  #session: Session | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RecoverDeviceOptions) {
    this.#options = options;
  }

  /** Answers one command APDU: data || status word. Commands are taken one after the other. Never throws for what is sent. */
  process(apdu: Uint8Array): Promise<Uint8Array> {
    const answer = this.#last.then(() => this.#answer(apdu));
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** Forgets the session. */
  end(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#state = "closed";
    session?.provider?.end();
    session?.channel?.end();
    session?.facts.end();
    session?.ephemeralKey.wipe();
  }

  async #answer(apdu: Uint8Array): Promise<Uint8Array> {
    try {
      let command: CommandApdu;
      try {
        command = decodeCommand(apdu);
      } catch {
        throw new DeviceRefusal(SW.WRONG_LENGTH);
      }
      return concat(await this.#dispatch(command), status(SW.OK));
    } catch (error) {
      const sw = statusOf(error);
      // A fault ends the session as a failure of cryptography does: what comes next cannot build on it.
      if (sw === undefined || sw === SW.SECURITY_STATUS_NOT_SATISFIED) this.end();
      return status(sw ?? SW.UNKNOWN);
    }
  }

  async #dispatch(command: CommandApdu): Promise<Uint8Array> {
    if (command.cla !== CLA_RECOVER) throw new DeviceRefusal(SW.CLA_NOT_SUPPORTED);
    const event = eventOf(command);
    const next = CHANNEL_FLOW.next(this.#state, event);
    if (next === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const answer = await this.#handle(event, command);
    this.#state = next;
    return answer;
  }

  #handle(event: ChannelEvent, command: CommandApdu): Uint8Array | Promise<Uint8Array> {
    switch (event) {
      case "target":
        return this.#target(command.data);
      case "start":
        return this.#start(command.data);
      case "host-static":
        return this.#hostStatic(command);
      case "host-ephemeral":
        return this.#hostEphemeral(command);
      case "device-static":
        return this.#session!.channel!.seal(encodeDeviceCertificate(this.#options.identity.certificate));
      case "device-ephemeral":
        return this.#deviceEphemeral();
      case "done":
        return NOTHING;
      case "sealed":
        return this.#sealed(command.data);
    }
  }

  #target(data: Uint8Array): Uint8Array {
    this.end();
    if (!equal(data, this.#options.identity.targetId)) throw new DeviceRefusal(SW.WRONG_DATA);
    return NOTHING;
  }

  #start(hostNonce: Uint8Array): Uint8Array {
    if (hostNonce.length !== LENGTH.NONCE) throw new DeviceRefusal(SW.WRONG_DATA);
    this.end();
    const { random } = this.#options;
    const deviceNonce = random(LENGTH.NONCE);
    this.#session = {
      hostNonce,
      deviceNonce,
      ephemeralKey: generatePrivateKey(random),
      facts: new SharedFacts(),
      rootId: ROOT_ID.ENROLLED,
      root: NOTHING,
      hostKey: NOTHING,
      channel: undefined,
      provider: undefined,
      providerState: "none",
      direction: undefined,
    };
    return concat(START_HEADER, deviceNonce);
  }

  #hostStatic({ p2, data }: CommandApdu): Uint8Array {
    const session = this.#session!;
    const { publicKey, signature } = decodeSignedKey(data);
    if (!isPublicKey(publicKey)) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    session.rootId = p2;
    session.hostKey = publicKey;
    if (p2 === ROOT_ID.ENROL) {
      requireSignature(publicKey, hostStaticBytes(ROLE.ROOT, publicKey), signature, "host certificate");
      return NOTHING;
    }
    const roots = [
      ...this.#options.memory.roots().map((root) => root.publicKey),
      this.#options.identity.issuerPublicKey,
    ];
    const bytes = hostStaticBytes(ROLE.ORCHESTRATOR_STATIC, publicKey);
    const signer = roots.find((root) => isSignedBy(root, bytes, signature));
    if (signer === undefined) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    session.root = signer;
    return NOTHING;
  }

  #hostEphemeral({ p2, data }: CommandApdu): Uint8Array {
    const session = this.#session!;
    if (p2 !== session.rootId) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const { publicKey, signature } = decodeSignedKey(data);
    const role = p2 === ROOT_ID.ENROL ? ROLE.ROOT_EPHEMERAL : ROLE.ORCHESTRATOR_EPHEMERAL;
    const bytes = hostEphemeralBytes(role, session.hostNonce, session.deviceNonce, publicKey);
    requireSignature(session.hostKey, bytes, signature, "host ephemeral certificate");
    session.channel = RecoverChannel.agree(session.ephemeralKey, publicKey);
    return NOTHING;
  }

  #deviceEphemeral(): Uint8Array {
    const { hostNonce, deviceNonce, ephemeralKey, channel } = this.#session!;
    const ephemeral = publicKeyOf(ephemeralKey);
    const bytes = deviceEphemeralBytes(deviceNonce, hostNonce, ephemeral);
    return encodeDeviceEphemeral(
      ephemeral,
      channel!.seal(ecdsaSign(this.#options.identity.staticKey, bytes)),
    );
  }

  async #sealed(data: Uint8Array): Promise<Uint8Array> {
    const session = this.#session!;
    const clear = session.channel!.open(data);
    const [code, p1 = 0] = clear;
    if (code === undefined) throw new DeviceRefusal(SW.WRONG_DATA);
    const hasP1 = COMMANDS_WITH_P1.includes(code);
    if (hasP1 && clear.length < 2) throw new DeviceRefusal(SW.WRONG_DATA);
    const body = clear.slice(hasP1 ? 2 : 1);
    const answer = session.rootId === ROOT_ID.ENROL
      ? await this.#rootCommand(code, body)
      : await this.#providerCommand(session, code, p1, body);
    return answer.length === 0 ? answer : session.channel!.seal(answer);
  }

  async #rootCommand(code: number, body: Uint8Array): Promise<Uint8Array> {
    const { memory, person } = this.#options;
    if (code !== COMMAND.ENROL_ROOT && code !== COMMAND.REMOVE_ROOT) {
      throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    }
    const root = readRoot(body);
    const action = code === COMMAND.ENROL_ROOT ? "enrol" : "remove";
    if (!await person.confirmRoot(root, action)) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    if (action === "enrol") memory.enrol(root);
    else if (!memory.remove(root)) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    return NOTHING;
  }

  async #providerCommand(session: Session, code: number, p1: number, body: Uint8Array): Promise<Uint8Array> {
    const event = providerEventOf(code, p1);
    const next = PROVIDER_FLOW.next(session.providerState, event);
    if (next === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    if (event === "provider-static") {
      session.provider?.end();
      session.providerState = "none";
      session.direction = undefined;
      const { identity, memory, person, random } = this.#options;
      const { facts, ephemeralKey, root } = session;
      session.provider = new ProviderSession({
        device: identity,
        memory,
        person,
        random,
        facts,
        ephemeralKey,
        root,
      });
    }
    if (event === "get-share") session.direction = "backup";
    if (event === "validate-commitments") session.direction = "restore";
    const answer = await providerAnswer(session.provider!, event, p1, body, session.direction ?? "backup");
    session.providerState = next;
    return answer;
  }
}

function providerAnswer(
  provider: ProviderSession,
  event: ProviderEvent,
  p1: number,
  body: Uint8Array,
  direction: "backup" | "restore",
): Uint8Array | Promise<Uint8Array> {
  switch (event) {
    case "provider-static":
      return provider.staticCertificate(body);
    case "provider-ephemeral":
      return provider.ephemeralCertificate(body);
    case "mutual-authentication":
      return provider.mutualAuthentication();
    case "confirm-identity":
      return provider.confirmIdentity(one(body));
    case "validate-hash":
      return provider.validateHash(one(body));
    case "get-share":
      return provider.getShare();
    case "get-commitments":
      return provider.getCommitments();
    case "get-auxiliary-point":
      return provider.getAuxiliaryPoint();
    case "validate-commitments":
      return provider.validateCommitments(one(body));
    case "validate-share-commitment":
      return provider.validateShareCommitment(one(body), direction);
    case "validate-values":
      return provider.validateValues(one(body), direction);
    case "restore":
      return provider.restore(p1, one(body));
    case "delete":
      return provider.delete(one(body));
  }
}

/** The one field that fills a body. */
function one(body: Uint8Array): Uint8Array {
  if (body.length === 0 || body[0] !== body.length - 1) throw new DeviceRefusal(SW.WRONG_DATA);
  return body.slice(1);
}

function isSignedBy(root: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    requireSignature(root, message, signature, "host certificate");
    return true;
  } catch {
    return false;
  }
}

function status(sw: number): Uint8Array {
  return Uint8Array.of(sw >> 8, sw & 0xff);
}
