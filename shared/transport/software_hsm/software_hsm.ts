/**
 * The HSM port in software, for demonstrations: NOT FOR PRODUCTION, and it says so at every open. Keys are sealed at rest;
 * in use they are in this process's memory, where a real token would never let them be.
 * Permissions of the process: read of the passphrase file; read and write of the folder of the key file.
 */

import { gcm } from "@noble/ciphers/aes.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { setImmediate } from "node:timers/promises";
import { concat } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { Secret } from "shared/base/secret.ts";
import { aesCmac } from "shared/crypto/aes.ts";
import {
  ed25519PublicKeyOf,
  ed25519Sign,
  ed25519Verify,
  generateEd25519PrivateKey,
} from "shared/crypto/ed25519.ts";
import { generateP256PrivateKey, p256PublicKeyOf, p256Sign, p256Verify } from "shared/crypto/p256.ts";
import { ecdsaSign, ecdsaVerify, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import type { Curve, Hsm, HsmKey, HsmKeyKind } from "../hsm.ts";
import { checkLabel } from "../pkcs11/keys.ts";
import { DEFAULT_DEADLINE_MS, DEFAULT_QUEUE_LIMIT } from "../pkcs11/pkcs11_hsm.ts";
import { WorkQueue } from "../pkcs11/work_queue.ts";
import { SYSTEM_RANDOM } from "../random.ts";
import { readSecretFile } from "../secret_file.ts";
import { type KeyEntry, type KeyFile, openEntry, requirePassphrase, sealEntry } from "./key_file.ts";
import { changeKeyFile, openOrMakeKeyFile, readKeyFile } from "./key_store.ts";
import "../hsm.ts";

/** How to open a software HSM. */
export interface SoftwareHsmOptions {
  /** The key file; made when it is missing. `FILE.lock` and `FILE.next` beside it are its own too. */
  readonly file: string;
  /** File with the passphrase, mode 0600. */
  readonly passphraseFile: string;
  /** Takes the warning; without it the warning goes to standard error. */
  readonly logger?: Logger;
  /** Requests that may wait. */
  readonly queueLimit?: number;
  /** For waiting and work of one request, in milliseconds. */
  readonly deadlineMs?: number;
}

const GCM_IV_BYTES = 12;

/** What each curve needs here. */
const SIGNATURES = {
  secp256k1: {
    generate: generatePrivateKey,
    publicKeyOf: (key: Secret) => publicKeyOf(key),
    sign: (key: Secret, message: Uint8Array) => ecdsaSign(key, message),
    verify: ecdsaVerify,
  },
  p256: {
    generate: generateP256PrivateKey,
    publicKeyOf: p256PublicKeyOf,
    sign: p256Sign,
    verify: p256Verify,
  },
  ed25519: {
    generate: generateEd25519PrivateKey,
    publicKeyOf: ed25519PublicKeyOf,
    sign: ed25519Sign,
    verify: ed25519Verify,
  },
} as const;

/**
 * Opens the key file, several processes may, and warns.
 * @throws {CodedError} `HSM_PIN` (wrong passphrase), `SOFTWARE_HSM_FILE`, `SECRET_FILE_MISSING`, `SECRET_FILE_OPEN`,
 *   `SECRET_FILE_CONTENT`.
 */
export async function openSoftwareHsm(options: SoftwareHsmOptions): Promise<Hsm> {
  (options.logger ?? createLogger("software-hsm")).warning("hsm.software", {
    file: options.file,
    message: "Software HSM: not for production. Its keys are in this process's memory.",
  });
  using passphrase = readSecretFile(options.passphraseFile);
  const { file, sealingKey } = await openOrMakeKeyFile(options.file, passphrase);
  try {
    requirePassphrase(file, sealingKey, options.file);
  } catch (error) {
    sealingKey.wipe();
    throw error;
  }
  return new SoftwareHsm(file, sealingKey, options);
}

class SoftwareHsm implements Hsm {
  readonly kind = "software";
  readonly #path: string;
  readonly #sealingKey: Secret;
  readonly #queue: WorkQueue;
  #file: KeyFile;
  #closing: Promise<void> | undefined;

  constructor(file: KeyFile, sealingKey: Secret, options: SoftwareHsmOptions) {
    this.#file = file;
    this.#path = options.file;
    this.#sealingKey = sealingKey;
    // One worker: there is one thread of JavaScript, and requests get the same bounds as at a token.
    this.#queue = new WorkQueue({
      workers: 1,
      limit: options.queueLimit ?? DEFAULT_QUEUE_LIMIT,
      deadlineMs: options.deadlineMs ?? DEFAULT_DEADLINE_MS,
    });
  }

  describe(): Promise<{ kind: string; model: string; serial: string; label: string }> {
    return this.#queue.run(() =>
      Promise.resolve({
        kind: this.kind,
        model: "software, not for production",
        serial: this.#file.serial,
        label: "software",
      })
    );
  }

  async generateSigningKey(label: string, curve: Curve = "secp256k1"): Promise<Uint8Array> {
    checkLabel(label);
    return await this.#queue.run(async () => {
      using key = SIGNATURES[curve].generate(SYSTEM_RANDOM);
      const publicKey = SIGNATURES[curve].publicKeyOf(key);
      await this.#add({ label, kind: "signing", curve, publicKey }, key);
      return publicKey;
    });
  }

  generateMasterKey(label: string): Promise<void> {
    return this.#generateSymmetric(label, "master");
  }

  generateStorageKey(label: string): Promise<void> {
    return this.#generateSymmetric(label, "storage");
  }

  generateMacKey(label: string): Promise<void> {
    return this.#generateSymmetric(label, "mac");
  }

  async #generateSymmetric(label: string, kind: HsmKeyKind): Promise<void> {
    checkLabel(label);
    await this.#queue.run(async () => {
      using key = new Secret(SYSTEM_RANDOM(32));
      await this.#add({ label, kind }, key);
    });
  }

  async publicKey(label: string): Promise<Uint8Array> {
    checkLabel(label);
    return await this.#queue.run(async () => publicKeyBytes(await this.#entry(label, "signing")));
  }

  async sign(label: string, message: Uint8Array): Promise<Uint8Array> {
    checkLabel(label);
    const copy = message.slice();
    return await this.#queue.run(async () => {
      await setImmediate(); // a row of signatures must not keep timers and sockets waiting
      const entry = await this.#entry(label, "signing");
      using key = openEntry(this.#sealingKey, this.#file, entry, this.#path);
      const { sign, verify } = SIGNATURES[curveOf(entry)];
      const signature = sign(key, copy);
      if (!verify(publicKeyBytes(entry), copy, signature)) {
        throw new CodedError("HSM_BAD_SIGNATURE", `Cannot use signature by key ${label}: it does not verify`);
      }
      return signature;
    });
  }

  cmac(label: string, message: Uint8Array): Promise<Uint8Array> {
    return this.#withKey(label, "master", message, (key, copy) => aesCmac(key, copy));
  }

  hmac(label: string, message: Uint8Array): Promise<Uint8Array> {
    return this.#withKey(label, "mac", message, (key, copy) => hmac(sha256, key, copy));
  }

  async seal(label: string, message: Uint8Array, associated: Uint8Array): Promise<Uint8Array> {
    const bound = associated.slice();
    return await this.#withKey(label, "storage", message, (key, copy) => {
      const iv = SYSTEM_RANDOM(GCM_IV_BYTES);
      return concat(iv, gcm(key, iv, bound).encrypt(copy));
    });
  }

  async open(label: string, sealed: Uint8Array, associated: Uint8Array): Promise<Uint8Array> {
    const bound = associated.slice();
    return await this.#withKey(label, "storage", sealed, (key, copy) => {
      try {
        return gcm(key, copy.subarray(0, GCM_IV_BYTES), bound).decrypt(copy.subarray(GCM_IV_BYTES));
      } catch {
        throw new CodedError("HSM_SEALED", `Cannot open message under key ${label}: it was not sealed so`, {
          label,
        });
      }
    });
  }

  /** Runs an operation with a symmetric key, on a copy that is wiped: the caller may reuse its buffer while this waits. */
  async #withKey(
    label: string,
    kind: HsmKeyKind,
    message: Uint8Array,
    operation: (key: Uint8Array, copy: Uint8Array) => Uint8Array,
  ): Promise<Uint8Array> {
    checkLabel(label);
    const copy = message.slice();
    try {
      return await this.#queue.run(async () => {
        const entry = await this.#entry(label, kind);
        using key = openEntry(this.#sealingKey, this.#file, entry, this.#path);
        return operation(key.reveal(), copy);
      });
    } finally {
      copy.fill(0);
    }
  }

  keys(): Promise<HsmKey[]> {
    return this.#queue.run(async () => {
      await this.#refresh();
      return this.#file.keys
        .map((entry): HsmKey => ({
          label: entry.label,
          kind: entry.kind,
          ...(entry.kind === "signing" ? { curve: curveOf(entry) } : {}),
        }))
        .sort((a, b) => a.label < b.label ? -1 : a.label > b.label ? 1 : 0);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#queue.close().then(() => this.#sealingKey.wipe());
    return this.#closing;
  }

  async #add(
    entry: { label: string; kind: HsmKeyKind; curve?: Curve; publicKey?: Uint8Array },
    key: Secret,
  ): Promise<void> {
    this.#file = await changeKeyFile(this.#path, (file) => {
      // A file that was exchanged has another sealing key: what is sealed now could never be opened.
      requirePassphrase(file, this.#sealingKey, this.#path);
      if (file.keys.some((existing) => existing.label === entry.label)) {
        throw new CodedError("HSM_KEY_EXISTS", `Cannot make key ${entry.label}: it is there already`, {
          label: entry.label,
        });
      }
      return { ...file, keys: [...file.keys, sealEntry(this.#sealingKey, file, entry, key)] };
    });
  }

  /** A key that is not known here may have been made by another process: the file is read again. */
  async #entry(label: string, kind: HsmKeyKind): Promise<KeyEntry> {
    const find = () => this.#file.keys.find((key) => key.label === label && key.kind === kind);
    let entry = find();
    if (!entry) {
      await this.#refresh();
      entry = find();
    }
    if (!entry) {
      throw new CodedError("HSM_KEY_MISSING", `Cannot find key ${label}: the software HSM does not hold it`, {
        label,
      });
    }
    return entry;
  }

  async #refresh(): Promise<void> {
    const file = await readKeyFile(this.#path);
    if (!file) {
      throw new CodedError("HSM_UNAVAILABLE", `Cannot read software HSM ${this.#path}: the file is gone`);
    }
    requirePassphrase(file, this.#sealingKey, this.#path);
    this.#file = file;
  }
}

function curveOf(entry: KeyEntry): Curve {
  return entry.curve ?? "secp256k1";
}

function publicKeyBytes(entry: KeyEntry): Uint8Array {
  return Uint8Array.fromBase64(entry.publicKey ?? "");
}
