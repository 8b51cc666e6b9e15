/**
 * The HSM port over PKCS#11, with any vendor's library.
 *
 * What the token must offer: CKM_EC_KEY_PAIR_GEN and CKM_ECDSA on secp256k1 and P-256, CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA,
 * CKM_AES_KEY_GEN and CKM_AES_CMAC; for a backup provider also CKM_AES_GCM, CKM_GENERIC_SECRET_KEY_GEN and CKM_SHA256_HMAC. A
 * token that lacks one says so when it is needed (`HSM_MECHANISM`). Permissions of the process: read and ffi of the folder of
 * the `pkcs11js` package (its native part), ffi of the library, read of the PIN file. SoftHSM reads its configuration
 * from the environment variable SOFTHSM2_CONF of the process, which must be set before the library is loaded.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import type { Curve, Hsm, HsmKey } from "../hsm.ts";
import { finishSignature } from "./signature.ts";
import { CKM } from "./constants.ts";
import { aesGcmOpen, aesGcmSeal, generateSymmetricKey, mac } from "./symmetric.ts";
import {
  checkLabel,
  CURVE_FACTS,
  hasKey,
  listKeys,
  requireMechanism,
  signingKey,
  signingKeyTemplates,
  type SymmetricKind,
} from "./keys.ts";
import { acquireModule, type Pkcs11Module } from "./module.ts";
import { type SessionContext, Token } from "./token.ts";
import { WorkQueue } from "./work_queue.ts";
import "../hsm.ts";

/** Sessions of the pool, unless told otherwise. */
export const DEFAULT_SESSIONS = 4;
/** Requests that may wait, unless told otherwise. */
export const DEFAULT_QUEUE_LIMIT = 256;
/** Deadline of one request in milliseconds, unless told otherwise. */
export const DEFAULT_DEADLINE_MS = 5_000;
/** Longest message for `cmac`, `hmac`, `seal` and `open`, in bytes. */
export const MESSAGE_LIMIT_BYTES = 65_536;

/** r || s on P-256 and secp256k1; R || S of Ed25519. */
const RAW_SIGNATURE_BYTES = 64;

/** How to open a token. */
export interface Pkcs11Options {
  /** Path of the vendor's library, absolute. */
  readonly library: string;
  /** CKA_LABEL of the token, not the number of its slot: numbers change. */
  readonly tokenLabel: string;
  /** File with the user's PIN, mode 0600. It is read again when a dead token is reopened, and not kept. */
  readonly pinFile: string;
  /** Sessions used at once. Default {@link DEFAULT_SESSIONS}. */
  readonly sessions?: number;
  /** Requests that may wait. Default {@link DEFAULT_QUEUE_LIMIT}. */
  readonly queueLimit?: number;
  /** For waiting and work of one request, in milliseconds. Default {@link DEFAULT_DEADLINE_MS}. */
  readonly deadlineMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/**
 * Opens a token and logs in.
 * @throws {CodedError} `HSM_LIBRARY`, `HSM_UNAVAILABLE`, `HSM_TOKEN`, `HSM_PIN`, `SECRET_FILE_MISSING`,
 *   `SECRET_FILE_OPEN`, `SECRET_FILE_CONTENT`.
 */
export async function openPkcs11Hsm(options: Pkcs11Options): Promise<Hsm> {
  const module = await acquireModule(options.library);
  const token = new Token(module, {
    label: options.tokenLabel,
    pinFile: options.pinFile,
    clock: options.clock ?? SYSTEM_CLOCK,
    ...(options.logger ? { logger: options.logger } : {}),
  });
  try {
    await token.ensureOpen();
  } catch (error) {
    await token.close();
    await module.release();
    throw error;
  }
  return new Pkcs11Hsm(module, token, options);
}

class Pkcs11Hsm implements Hsm {
  readonly kind = "pkcs11";
  readonly #module: Pkcs11Module;
  readonly #token: Token;
  readonly #tokenLabel: string;
  readonly #queue: WorkQueue;
  #closing: Promise<void> | undefined;

  constructor(module: Pkcs11Module, token: Token, options: Pkcs11Options) {
    this.#module = module;
    this.#token = token;
    this.#tokenLabel = options.tokenLabel;
    this.#queue = new WorkQueue({
      workers: options.sessions ?? DEFAULT_SESSIONS,
      limit: options.queueLimit ?? DEFAULT_QUEUE_LIMIT,
      deadlineMs: options.deadlineMs ?? DEFAULT_DEADLINE_MS,
    });
  }

  /** Asks the token itself, so that a dead one is noticed (and reopened). */
  describe(): Promise<{ kind: string; model: string; serial: string; label: string }> {
    return this.#queue.run(() =>
      this.#token.run("read token", true, ({ binding, session, facts }) => {
        binding.C_GetSessionInfo(session);
        binding.C_GetTokenInfo(facts.slot);
        return { kind: this.kind, model: facts.model, serial: facts.serial, label: this.#tokenLabel };
      })
    );
  }

  async generateSigningKey(label: string, curve: Curve = "secp256k1"): Promise<Uint8Array> {
    checkLabel(label);
    return await this.#queue.run(() =>
      this.#token.run("make signing key", false, async (context) => {
        const { generate, sign } = CURVE_FACTS[curve];
        requireMechanism(context, generate);
        requireMechanism(context, sign);
        if (hasKey(context, label)) throw keyExists(label);
        const { publicKey, privateKey } = signingKeyTemplates(label, curve);
        await context.binding.C_GenerateKeyPairAsync(
          context.session,
          { mechanism: CKM[generate] },
          publicKey,
          privateKey,
        );
        return signingKey(context, label).publicKey.slice();
      }, true)
    );
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

  async #generateSymmetric(label: string, kind: SymmetricKind): Promise<void> {
    checkLabel(label);
    await this.#queue.run(() =>
      this.#token.run(`make ${kind} key`, false, async (context) => {
        if (hasKey(context, label)) throw keyExists(label);
        await generateSymmetricKey(context, label, kind);
      }, true)
    );
  }

  async publicKey(label: string): Promise<Uint8Array> {
    checkLabel(label);
    return await this.#queue.run(() =>
      this.#token.run("read public key", true, (context) => signingKey(context, label).publicKey.slice())
    );
  }

  async sign(label: string, message: Uint8Array): Promise<Uint8Array> {
    checkLabel(label);
    const whole = wholeMessage(message);
    const digest = createHash("sha256").update(whole).digest();
    return await this.#queue.run(async () => {
      const { raw, publicKey, curve } = await this.#token.run("sign", true, async (context) => {
        const key = signingKey(context, label);
        const { sign } = CURVE_FACTS[key.curve];
        requireMechanism(context, sign);
        context.binding.C_SignInit(context.session, { mechanism: CKM[sign] }, key.privateHandle);
        const raw = await context.binding.C_SignAsync(
          context.session,
          sign === "EDDSA" ? whole : digest, // Ed25519 hashes the message itself, twice (RFC 8032, 5.1.6)
          Buffer.alloc(RAW_SIGNATURE_BYTES),
        );
        return { raw, publicKey: key.publicKey, curve: key.curve };
      });
      return finishSignature(raw, publicKey, whole, label, curve);
    });
  }

  cmac(label: string, message: Uint8Array): Promise<Uint8Array> {
    return this.#withCopy(
      "compute CMAC",
      label,
      message,
      (context, copy) => mac(context, label, "master", copy),
    );
  }

  hmac(label: string, message: Uint8Array): Promise<Uint8Array> {
    return this.#withCopy(
      "compute HMAC",
      label,
      message,
      (context, copy) => mac(context, label, "mac", copy),
    );
  }

  async seal(label: string, message: Uint8Array, associated: Uint8Array): Promise<Uint8Array> {
    const bound = Buffer.from(associated);
    return await this.#withCopy(
      "seal",
      label,
      message,
      (context, copy) => aesGcmSeal(context, label, copy, bound),
    );
  }

  async open(label: string, sealed: Uint8Array, associated: Uint8Array): Promise<Uint8Array> {
    const bound = Buffer.from(associated);
    return await this.#withCopy(
      "open",
      label,
      sealed,
      (context, copy) => aesGcmOpen(context, label, copy, bound),
    );
  }

  /** Runs an operation on a copy: the caller may wipe or reuse its buffer while this waits. */
  async #withCopy(
    action: string,
    label: string,
    message: Uint8Array,
    operation: (context: SessionContext, copy: Buffer) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    checkLabel(label);
    if (message.length > MESSAGE_LIMIT_BYTES) {
      throw new CodedError(
        "HSM_MESSAGE",
        `Cannot ${action}: message longer than ${MESSAGE_LIMIT_BYTES} bytes`,
      );
    }
    const copy = wholeMessage(message);
    try {
      return await this.#queue.run(() =>
        this.#token.run(action, true, (context) => operation(context, copy))
      );
    } finally {
      copy.fill(0);
    }
  }

  keys(): Promise<HsmKey[]> {
    return this.#queue.run(() => this.#token.run("list keys", true, listKeys));
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#queue.close();
      await this.#token.close();
      await this.#module.release();
    })();
    return this.#closing;
  }
}

/**
 * A copy: the caller may wipe or reuse its buffer while a request waits. Its memory is one byte longer: an empty buffer has no
 * address, which libraries take for a missing argument.
 */
function wholeMessage(message: Uint8Array): Buffer {
  const memory = Buffer.alloc(message.length + 1);
  memory.set(message);
  return memory.subarray(0, message.length);
}

function keyExists(label: string): CodedError {
  return new CodedError("HSM_KEY_EXISTS", `Cannot make key ${label}: the token holds it already`, { label });
}

defineErrors({
  HSM_LABEL: {
    fault: "usage",
    retry: false,
    http: 500,
    next: "Give a short label of printable ASCII characters.",
  },
  HSM_MESSAGE: { fault: "bug", retry: false, http: 500, next: "Report it." },
});
