/**
 * The HSM port over PKCS#11, with any vendor's library.
 *
 * What the token must offer: CKM_EC_KEY_PAIR_GEN and CKM_ECDSA on secp256k1 and P-256, CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA,
 * CKM_AES_KEY_GEN and CKM_AES_CMAC; a token that lacks one says so when it is needed (`HSM_MECHANISM`). Permissions of the process: read and ffi of the folder of
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
import {
  checkLabel,
  CURVE_FACTS,
  hasKey,
  listKeys,
  masterKey,
  masterKeyTemplate,
  requireMechanism,
  signingKey,
  signingKeyTemplates,
} from "./keys.ts";
import { acquireModule, type Pkcs11Module } from "./module.ts";
import { Token } from "./token.ts";
import { WorkQueue } from "./work_queue.ts";
import "../hsm.ts";

/** Sessions of the pool, unless told otherwise. */
export const DEFAULT_SESSIONS = 4;
/** Requests that may wait, unless told otherwise. */
export const DEFAULT_QUEUE_LIMIT = 256;
/** Deadline of one request in milliseconds, unless told otherwise. */
export const DEFAULT_DEADLINE_MS = 5_000;
/** Longest message for `cmac`, in bytes. */
export const MESSAGE_LIMIT_BYTES = 65_536;

/** r || s on P-256 and secp256k1; R || S of Ed25519. */
const RAW_SIGNATURE_BYTES = 64;
const CMAC_BYTES = 16;

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

  async generateMasterKey(label: string): Promise<void> {
    checkLabel(label);
    await this.#queue.run(() =>
      this.#token.run("make master key", false, async (context) => {
        requireMechanism(context, "AES_KEY_GEN");
        requireMechanism(context, "AES_CMAC");
        if (hasKey(context, label)) throw keyExists(label);
        await context.binding.C_GenerateKeyAsync(
          context.session,
          { mechanism: CKM.AES_KEY_GEN },
          masterKeyTemplate(label),
        );
        masterKey(context, label);
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

  async cmac(label: string, message: Uint8Array): Promise<Uint8Array> {
    checkLabel(label);
    if (message.length > MESSAGE_LIMIT_BYTES) {
      throw new CodedError(
        "HSM_MESSAGE",
        `Cannot compute CMAC: message longer than ${MESSAGE_LIMIT_BYTES} bytes`,
      );
    }
    const copy = wholeMessage(message);
    try {
      return await this.#queue.run(() =>
        this.#token.run("compute CMAC", true, async (context) => {
          requireMechanism(context, "AES_CMAC");
          const key = masterKey(context, label);
          context.binding.C_SignInit(context.session, { mechanism: CKM.AES_CMAC }, key);
          const mac = await context.binding.C_SignAsync(context.session, copy, Buffer.alloc(CMAC_BYTES));
          if (mac.length !== CMAC_BYTES) {
            throw new CodedError(
              "HSM_UNAVAILABLE",
              `Cannot compute CMAC: the token gave ${mac.length} bytes`,
            );
          }
          const result = new Uint8Array(mac);
          mac.fill(0); // a diversified key: one copy is enough
          return result;
        })
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
