/**
 * One provider's part of a session on the device: its channel, and the commands D4 to DB (spec/recover.md, section 2). What
 * outlives a provider (the identity that was confirmed, the polynomials, the first share) is in `SharedFacts`.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { entropyToMnemonic, mnemonicToSeedSync } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { concat, equal, equalConstantTime, fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import { ecdsaSign, isPublicKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  decodeProviderCertificate,
  providerBytes,
  requireSignature,
} from "shared/protocol/recover/certificates.ts";
import { RecoverChannel } from "shared/protocol/recover/channel.ts";
import {
  AUXILIARY_POINT,
  CONFIRM_RESTORE,
  IDENTITY_FLOW,
  LENGTH,
  PROVIDERS,
  ROLE,
  WORDS,
} from "shared/protocol/recover/constants.ts";
import { deletionKey } from "shared/protocol/recover/deletion_key.ts";
import { decryptEntropy, encryptEntropy, wordsOf } from "shared/protocol/recover/entropy.ts";
import { decodeIdentity, type IdentityData, identityHash } from "shared/protocol/recover/identity.ts";
import {
  commitmentsOf,
  drawPolynomials,
  expectedShareCommitment,
  isConsistent,
  type Polynomials,
  recombine,
  type Share,
  shareCommitment,
  sharesOf,
  wipePolynomials,
} from "shared/protocol/recover/sharing.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { RecoverIdentity, RecoverMemory, RecoverPerson } from "./ports.ts";
import { DeviceRefusal } from "./refusal.ts";

/** What the session keeps from one provider to the next. */
export class SharedFacts {
  /** What the person confirmed. */
  identity: IdentityData | undefined;
  /** Whether the security code of the first provider was shown. */
  codeShown = false;
  /** Of a backup: drawn once, shared by all. */
  polynomials: Polynomials | undefined;
  /** Static keys (hex) of the providers that were here, in order: the n-th of a backup has index n. */
  readonly providers: string[] = [];
  /** Of a restore: what the first provider told and gave. */
  first: { readonly commitments: Uint8Array; readonly share: Share; readonly words: number } | undefined;

  /** Forgets every secret. */
  end(): void {
    if (this.polynomials) wipePolynomials(this.polynomials);
    this.first?.share.value.wipe();
    this.polynomials = this.first = this.identity = undefined;
  }
}

/** What surrounds a provider's session. */
export interface ProviderScene {
  readonly device: RecoverIdentity;
  readonly memory: RecoverMemory;
  readonly person: RecoverPerson;
  readonly random: RandomSource;
  readonly facts: SharedFacts;
  /** The device's ephemeral key of this session. */
  readonly ephemeralKey: Secret;
  /** Root under which the orchestrator was accepted: the providers' root, too. */
  readonly root: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const SHARE_MESSAGE_LENGTH = LENGTH.SHARE + 4;

/** One provider. Which command may come when is the table's affair (session_flow.ts), not this file's. */
export class ProviderSession {
  readonly #scene: ProviderScene;
  #name = "";
  #staticKey: Uint8Array = NOTHING;
  #ephemeral: Uint8Array = NOTHING;
  #channel: RecoverChannel | undefined;
  #commitments: Uint8Array = NOTHING;
  #shareCommitment: Uint8Array = NOTHING;

  constructor(scene: ProviderScene) {
    this.#scene = scene;
  }

  /** Forgets the channel. */
  end(): void {
    this.#channel?.end();
  }

  #open(sealed: Uint8Array): Uint8Array {
    return this.#channel!.open(sealed);
  }

  #identity(flow: number): IdentityData {
    const { identity } = this.#scene.facts;
    if (identity === undefined || identity.flow !== flow) {
      throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    }
    return identity;
  }

  /** D5/00: the provider's static certificate, by the root. A provider that comes again keeps its place. */
  staticCertificate(data: Uint8Array): Uint8Array {
    const { role, name, publicKey, signature } = decodeProviderCertificate(data);
    if (role !== ROLE.PROVIDER_STATIC) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    requireSignature(
      this.#scene.root,
      providerBytes(role, name, publicKey),
      signature,
      "provider certificate",
    );
    if (!isPublicKey(publicKey)) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    const { providers } = this.#scene.facts;
    const known = toHex(publicKey);
    if (!providers.includes(known)) {
      if (providers.length === PROVIDERS) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
      providers.push(known);
    }
    this.#name = name;
    this.#staticKey = publicKey;
    return NOTHING;
  }

  /** D5/80: the provider's ephemeral certificate, by its static key. */
  ephemeralCertificate(data: Uint8Array): Uint8Array {
    const { role, name, publicKey, signature } = decodeProviderCertificate(data);
    if (role !== ROLE.PROVIDER_EPHEMERAL || name !== this.#name) {
      throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    }
    requireSignature(
      this.#staticKey,
      providerBytes(role, name, publicKey),
      signature,
      "ephemeral certificate",
    );
    this.#ephemeral = publicKey;
    return NOTHING;
  }

  /** D6: the channel key. The first provider's makes the security code. */
  mutualAuthentication(): Uint8Array {
    const { facts, ephemeralKey, person } = this.#scene;
    this.#channel = RecoverChannel.agree(ephemeralKey, this.#ephemeral);
    if (!facts.codeShown) person.showSecurityCode(this.#channel.securityCode());
    facts.codeShown = true;
    return NOTHING;
  }

  /** D4: the identity, confirmed on the device by the first provider's word and for the rest of the session. */
  async confirmIdentity(sealed: Uint8Array): Promise<Uint8Array> {
    const { facts, memory, person } = this.#scene;
    if (facts.identity !== undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const identity = decodeIdentity(this.#open(sealed));
    const entropy = memory.entropy();
    entropy?.wipe();
    const deletes = identity.flow === IDENTITY_FLOW.DELETE;
    if (deletes && entropy === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const flow = deletes ? "delete" : entropy === undefined ? "restore" : "backup";
    if (!await person.confirmIdentity(identity, flow)) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    facts.identity = identity;
    return NOTHING;
  }

  /** D7: the provider means this session, this backup and this identity. A restore is confirmed here. */
  async validateHash(sealed: Uint8Array): Promise<Uint8Array> {
    const { facts, memory, person } = this.#scene;
    const { identity } = facts;
    if (identity === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const expected = identityHash(this.#ephemeral, identity.backupId, identity);
    if (!equalConstantTime(this.#open(sealed), expected)) {
      throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    }
    if (identity.flow === IDENTITY_FLOW.DELETE) return NOTHING;
    const entropy = memory.entropy();
    entropy?.wipe();
    if (entropy !== undefined) return NOTHING;
    if (!await person.confirmRestore(identity, this.#name)) {
      throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    }
    return this.#channel!.seal(toUtf8(CONFIRM_RESTORE));
  }

  /** D8/00: this provider's share, sealed to it. */
  getShare(): Uint8Array {
    const { facts, memory, device, random } = this.#scene;
    this.#identity(IDENTITY_FLOW.BACKUP_OR_RESTORE);
    const entropy = memory.entropy();
    if (entropy === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    try {
      if (facts.polynomials === undefined) {
        const encrypted = encryptEntropy(device.entropyEncryptionKey, entropy);
        facts.polynomials = drawPolynomials(encrypted, random);
        encrypted.wipe();
      }
      this.#commitments = commitmentsOf(facts.polynomials);
      const shares = sharesOf(facts.polynomials);
      const { index, value } = shares[facts.providers.indexOf(toHex(this.#staticKey))]!;
      const key = ownDeletionKey(entropy, this.#staticKey);
      const message = concat(
        value.reveal(),
        littleEndian(index),
        publicKeyOf(key),
        sha256(this.#commitments),
      );
      key.wipe();
      this.#shareCommitment = shareCommitment(value);
      for (const share of shares) share.value.wipe();
      const answer = concat(this.#channel!.seal(message), Uint8Array.of(wordsOf(entropy.length)));
      message.fill(0);
      return answer;
    } finally {
      entropy.wipe();
    }
  }

  /** D8/01: the commitments. */
  getCommitments(): Uint8Array {
    return this.#commitments;
  }

  /** D8/10: the auxiliary point. */
  getAuxiliaryPoint(): Uint8Array {
    return AUXILIARY_POINT;
  }

  /** D9/02, restore: the commitments of the backup. Every provider must tell the same. */
  validateCommitments(commitments: Uint8Array): Uint8Array {
    const { facts, memory } = this.#scene;
    this.#identity(IDENTITY_FLOW.BACKUP_OR_RESTORE);
    const entropy = memory.entropy();
    entropy?.wipe();
    if (entropy !== undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    // Whether they are points of the curve is known before a share comes.
    expectedShareCommitment(commitments, 1);
    if (facts.first !== undefined && !equal(facts.first.commitments, commitments)) {
      throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    }
    this.#commitments = commitments;
    return NOTHING;
  }

  /** D9/04: the commitment with which the provider proves the share, against E0 + i E1. */
  validateShareCommitment(commitment: Uint8Array, flow: "backup" | "restore"): Uint8Array {
    const right = flow === "backup"
      ? equal(commitment, this.#shareCommitment)
      : [1, 2, 3].some((index) => equal(commitment, expectedShareCommitment(this.#commitments, index)));
    if (!right) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    this.#shareCommitment = commitment;
    return NOTHING;
  }

  /** D9/03: the provider itself vouches for the values that the orchestrator relayed. */
  validateValues(sealed: Uint8Array, flow: "backup" | "restore"): Uint8Array {
    const values = flow === "backup"
      ? this.#shareCommitment
      : concat(this.#commitments, this.#shareCommitment);
    if (!equalConstantTime(this.#open(sealed), sha256(values))) {
      throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
    }
    if (flow === "backup") this.#scene.person.tell("share-stored", this.#name);
    return NOTHING;
  }

  /** DA: a share. The second one gives the seed back. */
  restore(words: number, sealed: Uint8Array): Uint8Array {
    const { facts, memory, device, person } = this.#scene;
    const message = this.#open(sealed);
    try {
      if (message.length !== SHARE_MESSAGE_LENGTH) throw new DeviceRefusal(SW.WRONG_DATA);
      const index = new DataView(message.buffer, message.byteOffset).getUint32(LENGTH.SHARE, true);
      const share: Share = { index, value: new Secret(message.slice(0, LENGTH.SHARE)) };
      const fits = isConsistent(share, this.#commitments) &&
        equal(expectedShareCommitment(this.#commitments, index), this.#shareCommitment);
      if (!fits) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
      const wordCount = words === 0 ? Math.max(...WORDS.keys()) : words;
      if (facts.first === undefined) {
        facts.first = { commitments: this.#commitments, share, words: wordCount };
        return NOTHING;
      }
      if (facts.first.share.index === index) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
      if (facts.first.words !== wordCount) throw new DeviceRefusal(SW.SECURITY_STATUS_NOT_SATISFIED);
      const encrypted = recombine(facts.first.share, share);
      share.value.wipe();
      memory.restore(decryptEntropy(device.entropyEncryptionKey, encrypted, wordCount));
      encrypted.wipe();
      person.tell("seed-restored", this.#name);
      return NOTHING;
    } finally {
      message.fill(0);
    }
  }

  /** DB: the signature with which this provider may delete, for its nonce. */
  async delete(sealed: Uint8Array): Promise<Uint8Array> {
    const { memory, person } = this.#scene;
    const identity = this.#identity(IDENTITY_FLOW.DELETE);
    const nonce = this.#open(sealed);
    if (nonce.length !== LENGTH.DELETE_NONCE) throw new DeviceRefusal(SW.WRONG_DATA);
    if (!await person.confirmDelete(identity, this.#name)) {
      throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    }
    const entropy = memory.entropy();
    if (entropy === undefined) throw new DeviceRefusal(SW.CONDITIONS_NOT_SATISFIED);
    const key = ownDeletionKey(entropy, this.#staticKey);
    try {
      const signature = ecdsaSign(key, nonce);
      person.tell("deleted", this.#name);
      return this.#channel!.seal(signature);
    } finally {
      key.wipe();
      entropy.wipe();
    }
  }
}

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** The deletion key of the seed that this entropy is. */
function ownDeletionKey(entropy: Secret, providerStatic: Uint8Array): Secret {
  const seed = new Secret(mnemonicToSeedSync(entropyToMnemonic(entropy.reveal(), wordlist)));
  try {
    return deletionKey(seed, providerStatic);
  } finally {
    seed.wipe();
  }
}

/** Reads len || name || len || public key of D2 and D3. @throws {CodedError} `RECOVER_MALFORMED`. */
export function readRoot(data: Uint8Array): { name: string; publicKey: Uint8Array } {
  const nameLength = data[0] ?? 0;
  const name = data.subarray(1, 1 + nameLength);
  const publicKey = data.slice(2 + nameLength);
  const wellFormed = nameLength > 0 && name.length === nameLength &&
    data[1 + nameLength] === publicKey.length &&
    name.every((byte) => byte >= 0x20 && byte < 0x7f) && isPublicKey(publicKey);
  if (!wellFormed) throw new CodedError("RECOVER_MALFORMED", "Cannot read root: a field is missing or wrong");
  return { name: fromUtf8(name), publicKey };
}
